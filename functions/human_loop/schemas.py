"""Define bodies, queries and answers of the routes of the human loop."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field

from functions.http.schemas import PageQuery
from handlers.human_loop.reply import Decision
from schema.approval_rules import NewRule
from schema.events import LONGEST_OPTION_ID, Envelope
from schema.rows import RunStatus
from schema.wire import Json, Request, Text, Wire


class ReplyBody(Request):
    """Answer an agent's request. `arguments` (edited arguments) are refused: no agent accepts them yet."""

    request_id: UUID
    decision: Decision
    option_id: Text | None = Field(default=None, max_length=LONGEST_OPTION_ID)
    reason: Text | None = Field(default=None, max_length=10_000)
    answers: Json | None = None
    arguments: Json | None = None


class PendingQuery(PageQuery):
    """A page of requests, oldest first; `cursor` is the `nextCursor` of the page before."""

    session_id: UUID | None = None


class RequestsQuery(PageQuery):
    """A newest-first page. `status` names `open`, `closed` or both, separated by a comma. Default: both."""

    status: Text = Field(default="open,closed", pattern=r"^(open|closed)(,(open|closed))?$")
    session_id: UUID | None = None

    @property
    def are_open(self) -> set[bool]:
        return {word == "open" for word in self.status.split(",")}


class HumanRequestAnswer(Wire):
    request_id: UUID
    session_id: UUID
    run_id: UUID
    kind: str
    status: str
    title: str
    tool_call: Json | None = None
    options: list[Json] | None = None
    schema_: Json | None = Field(default=None, alias="schema")
    requested_at: datetime
    expires_at: datetime | None = None
    on_expiry: str


class ShownRequestAnswer(HumanRequestAnswer):
    """`diffs` are the tool call's. `decision` is the answer's; a request that ended without one has none.
    `decidedBy` is a user, a rule with its version, or `timeout`.

    The user or role of `escalatedTo` (`user:<id>`, `role:<name>`) may answer too.
    """

    session_title: str
    run_status: RunStatus
    diffs: list[Json] | None = None
    may_decide: bool = Field(description="Whether you may answer it now.")
    decision: Decision | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    escalated_to: str | None = None
    escalated_at: datetime | None = None


class HumanRequestsAnswer(Wire):
    """`nextCursor` is there when there may be more."""

    items: list[ShownRequestAnswer]
    next_cursor: str | None = None


class HumanRequestDetailAnswer(ShownRequestAnswer):
    """`told` is the outcome that the agent received. `history` lists the log's events of the request, oldest first."""

    fingerprint: str
    attempt: int
    answer: Json | None = None
    told: str | None = None
    settled_at: datetime | None = None
    history: list[Envelope]


class SuggestedRulesAnswer(Wire):
    """Rules that would have allowed the call, the narrowest first. Each is a body of `POST /api/human-loop/rules`."""

    items: list[NewRule]


class RepliedAnswer(Wire):
    request_id: UUID
    status: str

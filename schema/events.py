"""Define run events: their types, their data and the envelope that every reader gets."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field

from schema.wire import Json, Request, Text, Wire

EXECUTOR_MAY_NOT_AUTHOR = frozenset(
    {
        "run.queued",
        "run.queue_edited",
        "run.held",
        "run.waiting",
        "run.parked",
        "run.resumed",
        "run.retrying",
        "run.cancelling",
        "human_loop.resolved",
        "human_loop.escalated",
        "workspace.synced",
        "workspace.sync_failed",
        "workspace.restored",
        "workspace.restoring",
        "workspace.syncing",
        "workspace.uploaded",
        "workspace.put_back",
        "worker.starting",
        "worker.ready",
    }
)
"""Only the control plane reports decisions, queue events and saves. An executor may send every other type, even an
unknown one."""


def _in_readable_year(at: datetime) -> datetime:
    """Refuse years near the ends of the calendar: a time zone shift leaves it, and then the log is unreadable."""
    if not 1000 <= at.year < 9000:
        raise ValueError("must be in a year from 1000 to 8999")
    return at


class SourceEvent(Request):
    """One event as its source sends it: an executor, or the driver of a bound run.

    `n` numbers an attempt's events from 1 without holes. A source that cannot number its events leaves it out, and `id`
    removes duplicates. `at` is the source's clock, for display only.
    """

    id: UUID
    n: int | None = Field(default=None, ge=1, le=2**53)
    type: Text = Field(min_length=1, max_length=64, pattern=r"^[a-z_]+(\.[a-z_]+)+$")
    at: Annotated[AwareDatetime, AfterValidator(_in_readable_year)] = Field(json_schema_extra={"pattern": "^[1-8]"})
    data: Json = Field(default_factory=dict)


class Envelope(Wire):
    """One row of a session's log as every reader gets it."""

    seq: int
    id: UUID
    session_id: UUID
    run_id: UUID | None = None
    attempt: int | None = None
    author: str
    type: str
    at: datetime
    late: bool | None = None
    data: Json


class MessageDelta(Wire):
    message_id: str
    role: Literal["assistant", "thought", "user"]
    text: str


class MessageStop(Wire):
    message_id: str
    stop_reason: str


class ToolCall(Wire):
    """A tool call: `tool.call` when it begins, then `tool.update` with the changed fields only."""

    tool_call_id: str
    title: str | None = None
    kind: str | None = None
    status: Literal["pending", "in_progress", "completed", "failed"] | None = None
    input: object = None
    output: object = None
    diffs: list[Json] | None = None
    locations: list[Json] | None = None


class TodoItem(Wire):
    id: str = Field(min_length=1, max_length=200)
    content: str
    status: Literal["pending", "in_progress", "completed"]
    priority: str | None = None


class TodoUpdate(Wire):
    """The complete list of one group. Items that are missing were dropped."""

    group_id: str = Field(min_length=1, max_length=200)
    title: str | None = None
    items: list[TodoItem]


MOST_OPTIONS = 32
"""Options of one permission request. An executor passes on as many of an agent's."""
LONGEST_OPTION_ID = 200
"""Characters of an option's id. Ids are never altered: an executor leaves out an option with a longer one."""
LONGEST_OPTION_NAME = 1000
"""Characters of an option's name. A longer one is cut, for it is only shown."""
LONGEST_FINGERPRINT = 200
"""Characters of a request's fingerprint."""


def _shown(name: str) -> str:
    return name if len(name) <= LONGEST_OPTION_NAME else f"{name[: LONGEST_OPTION_NAME - 1]}…"


class PermissionOption(Wire):
    """One option of a permission. `kind` is ACP's `allow_once`, `allow_always`, `reject_once` or `reject_always`."""

    option_id: str = Field(max_length=LONGEST_OPTION_ID)
    name: Annotated[str, AfterValidator(_shown)]
    kind: str = Field(max_length=100)


class HumanRequested(Wire):
    """An agent's request to a person. Questions have a `schema` (JSON Schema), permissions have `options`."""

    request_id: UUID
    kind: Literal["permission", "question"]
    title: str
    fingerprint: str = Field(max_length=LONGEST_FINGERPRINT)
    tool_call: Json | None = None
    options: list[PermissionOption] | None = Field(default=None, max_length=MOST_OPTIONS)
    schema_: Json | None = Field(default=None, alias="schema")


class HumanEscalated(Wire):
    """A request expired without an answer. `to` (`user:<id>` or `role:<name>`) may answer too, until `expiresAt`."""

    request_id: UUID
    to: str
    by: Literal["timeout"] = "timeout"
    expires_at: datetime | None = None
    on_expiry: Literal["wait", "deny", "park"]


class HumanApplied(Wire):
    """The effect of an answer. `told` is the sentence or option that the agent received."""

    request_id: UUID
    outcome: Literal["applied", "void"]
    told: str


MOST_COST = 10.0**12
"""A greater amount is taken as this, a negative one as its negation."""


def _payable(amount: float) -> float:
    return min(max(amount, -MOST_COST), MOST_COST)


LONGEST_CURRENCY = 100
"""Characters of a currency, and of a price table's version, that a run keeps."""


def _named(name: str) -> str:
    return name[:LONGEST_CURRENCY]


class Cost(Wire):
    """A run's cost: `amount` in units of `currency`. `unavailable` has no amount: an unknown cost is never 0. An amount
    without a currency is in no sum."""

    amount: Annotated[float, AfterValidator(_payable)] | None = None
    currency: Annotated[str, AfterValidator(_named)] | None = None
    source: Literal["reported", "priced", "unavailable"]
    price_version: Annotated[str, AfterValidator(_named)] | None = None


def _countable(count: int) -> int:
    return min(max(count, 0), MOST_TOKENS)


MOST_TOKENS = 10**12
"""A greater count is taken as this, so that sums over runs stay integers of 64 bits."""
Tokens = Annotated[int, AfterValidator(_countable)]


class Usage(Wire):
    """Tokens of one run. An absent bucket is unknown, not 0."""

    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cached_read_tokens: Tokens | None = None
    cached_write_tokens: Tokens | None = None
    context_used: Tokens | None = None
    context_size: Tokens | None = None
    cost: Cost | None = None


class ConversationHandedOver(Wire):
    """The agent received a transcript of `runs` runs by the providers in `from`. `leftOut` older runs did not fit."""

    from_: list[str] = Field(alias="from")
    runs: int
    left_out: int
    tokens: int


class RunWarning(Wire):
    code: str
    message: str


class AgentLost(RunWarning):
    """The executor found a run whose agent is gone. The control plane decides how the run continues.

    `taken` lists the requests whose answers the executor had, so the agent may have received them. An older executor
    omits it.
    """

    code: str = "agent_lost"
    message: str = ""
    prompt_delivered: bool | None = None
    taken: list[UUID] | None = None


LONGEST_CONVERSATION_ID = 1000
"""Characters of an agent's id of a conversation."""


LONGEST_NAME = 200
"""Characters of an agent's name or version."""


class Agent(Wire):
    """The program as it introduced itself. `says` maps the capabilities that it reported to whether it has them."""

    name: str | None = None
    title: str | None = None
    version: Text | None = Field(default=None, min_length=1, max_length=LONGEST_NAME)
    says: dict[Text, bool] = Field(default_factory=dict, max_length=50)


class RunStarted(Wire):
    """The agent is ready. The executor sends the prompt only after this event is acknowledged."""

    status: Literal["running"] = "running"
    provider: str
    agent: Agent | None = None
    agent_session_id: str | None = Field(default=None, max_length=LONGEST_CONVERSATION_ID)
    resumed: bool = False


class Reason(Wire):
    """Explain a state: `code` for programs, `message` as a sentence for people."""

    code: str
    message: str


class RunFinished(Wire):
    status: Literal["succeeded", "failed", "cancelled", "blocked"]
    reason: Reason | None = None
    stop_reason: str | None = None
    usage: Usage | None = None
    snapshot_id: UUID | None = None

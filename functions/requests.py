"""Bodies and queries that clients send, parsed at the edge; an unknown key is an error."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from handlers.human_loop import Decision
from handlers.queue import Place, QueueEdit
from schema.human_policy import HumanPolicy
from schema.options import RunOptions
from schema.wire import Json, Page, Request, Text

MAX_SEQ = 2**63 - 1
LAST_EVENT_ID = r"^[0-9]{0,18}$"
IDEMPOTENCY_KEY = r"^[\x21-\x7e]{1,255}$"
PAGE_CURSOR = r"^[0-9]{1,17}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
"""When the page's last thing was made, in microseconds since 1970, and its id: whatever fits this is a cursor."""
Cursor = Annotated[int, Field(ge=0, le=MAX_SEQ, description="The number (seq) of the last event that you have.")]


def _is_a_number(value: object) -> object:
    """JSON knows 5 and 5.0 as the same number, and "5" and true as none."""
    if isinstance(value, (str, bool)):
        raise ValueError("must be a number")  # noqa: TRY004  pydantic reads ValueErrors
    return value


def _not_blank(prompt: str) -> str:
    if not prompt.strip():
        raise ValueError("must not be empty")
    return prompt


Prompt = Annotated[Text, Field(min_length=1, json_schema_extra={"pattern": r"\S"}), AfterValidator(_not_blank)]
Whole = Annotated[int, BeforeValidator(_is_a_number)]
Title = Annotated[Text, StringConstraints(min_length=1, max_length=200)]


class StartBody(Request):
    """A run to be started. Without a session a new one is made; without a provider the app's is taken."""

    prompt: Prompt
    provider: Text | None = Field(default=None, min_length=1, max_length=100)
    app_id: UUID | None = None
    session_id: UUID | None = None
    options: RunOptions = Field(default_factory=RunOptions)
    multitask: Literal["enqueue", "reject", "interrupt"] = "enqueue"
    max_attempts: Annotated[int, Field(ge=1, le=20), BeforeValidator(_is_a_number)] | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=7 * 86400, allow_inf_nan=False, strict=True)] | None = None
    human_loop: HumanPolicy = Field(default_factory=HumanPolicy)


class BindBody(Request):
    """A run that something else drives. `provider` is a free name: what drives it is not of the registry."""

    provider: Text = Field(min_length=1, max_length=100)
    session_id: UUID | None = None
    prompt: Text = Field(default="", max_length=262_144)
    title: Title | None = None


class OpenSessionBody(Request):
    title: Text = Field(default="", max_length=200)
    app_id: UUID | None = None


class RenameSessionBody(Request):
    title: Title


class ReplyBody(Request):
    """An answer to what an agent asks. `arguments` (edited arguments) are refused: no agent takes them yet."""

    request_id: UUID
    decision: Decision
    option_id: Text | None = Field(default=None, max_length=200)
    reason: Text | None = Field(default=None, max_length=10_000)
    answers: Json | None = None
    arguments: Json | None = None


class BeforeRun(Request):
    before: UUID


class AfterRun(Request):
    after: UUID


class EditQueuedBody(Request):
    """What is to be changed of a queued run; what is left out stays. `revision` is the one that you have seen; `place`
    is where it goes in its session's queue."""

    revision: Whole = Field(ge=1)
    prompt: Prompt | None = None
    options: RunOptions | None = None
    place: Literal["first", "last"] | BeforeRun | AfterRun | None = None

    @property
    def edit(self) -> QueueEdit:
        return QueueEdit(revision=self.revision, prompt=self.prompt, options=self.options, place=self._place)

    @property
    def _place(self) -> Place | None:
        match self.place:
            case None:
                return None
            case BeforeRun(before=other):
                return Place("before", other)
            case AfterRun(after=other):
                return Place("after", other)
            case end:
                return Place(end)


class RemoveQueuedQuery(Request):
    """With `revision` the run is only removed if nobody has edited it since."""

    revision: int | None = Field(default=None, ge=1)


class QueueQuery(Request):
    """A page of a queue; `cursor` is the `nextCursor` of the page before."""

    cursor: int | None = Field(default=None, ge=-(2**63), le=MAX_SEQ)
    limit: int = Field(default=100, ge=1, le=500)


class DrainBody(Request):
    """Claim and start at most `limit` runs, then count what settles within the wait."""

    limit: Whole = Field(default=10, ge=1, le=100)
    wait_seconds: float = Field(default=0, ge=0, le=60, allow_inf_nan=False, strict=True)


class Nothing(Request):
    """A call without a body, or with an empty object."""


class AfterQuery(Request):
    """Events after a number."""

    after: Cursor = 0
    limit: int = Field(default=200, ge=1, le=1000)


class TodoChangesQuery(Request):
    """Changes after a cursor."""

    after: int = Field(default=0, ge=0, le=MAX_SEQ, description="The `nextCursor` of the page before.")
    limit: int = Field(default=200, ge=1, le=1000)


class StreamQuery(Request):
    """`Last-Event-ID` wins over the cursor."""

    cursor: Cursor = 0


class SocketQuery(Request):
    """Without `after` a snapshot comes first."""

    after: Cursor | None = None


class PendingQuery(Request):
    session_id: UUID | None = None


class PageQuery(Page):
    """A page of things, newest first; `cursor` is the `nextCursor` of the page before."""

    cursor: str | None = Field(default=None, pattern=PAGE_CURSOR)

"""Define bodies, queries and answers of the routes of runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field

from functions.http.schemas import MAX_SEQ, PageQuery, Prompt, Title, Whole, is_a_number
from handlers.runs.queue import QueueEdit, QueuePosition
from handlers.runs.start import Start
from schema.events import Envelope, Reason, RunWarning, Usage
from schema.human_policy import HumanPolicy
from schema.options import RunOptions
from schema.queue_api import QueueItem
from schema.rows import RunStatus
from schema.wire import Request, Text, Wire


class StartBody(Request):
    """Start a run. Without a session the run gets a new session; without a provider it gets the app's."""

    prompt: Prompt
    provider: Text | None = Field(default=None, min_length=1, max_length=100)
    app_id: UUID | None = None
    session_id: UUID | None = None
    options: RunOptions = Field(default_factory=RunOptions)
    multitask: Literal["enqueue", "reject", "interrupt"] = "enqueue"
    max_attempts: Annotated[int, Field(ge=1, le=20), BeforeValidator(is_a_number)] | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=7 * 86400, allow_inf_nan=False, strict=True)] | None = None
    human_loop: HumanPolicy = Field(default_factory=HumanPolicy)
    attachments: list[Annotated[Text, Field(min_length=1, max_length=1000)]] = Field(
        default_factory=list, max_length=50, description="Paths that uploads to the session answered."
    )

    def start(self, *, max_attempts: int, traceparent: str) -> Start:
        """The same request for handlers, field by field; `max_attempts` holds where the body names none."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return Start(**{**fields, "max_attempts": self.max_attempts or max_attempts}, traceparent=traceparent)


class BindBody(Request):
    """Bind a run that an external program drives. `provider` is a free name outside the registry of providers."""

    provider: Text = Field(min_length=1, max_length=100)
    session_id: UUID | None = None
    prompt: Text = ""
    title: Title | None = None


class BeforeRun(Request):
    before: UUID


class AfterRun(Request):
    after: UUID


class EditQueuedBody(Request):
    """Change a queued run; absent fields stay. `revision` is the revision that you have read; `place` is the run's new
    place in its session's queue."""

    revision: Whole = Field(ge=1)
    prompt: Prompt | None = None
    options: RunOptions | None = None
    place: Literal["first", "last"] | BeforeRun | AfterRun | None = None

    @property
    def edit(self) -> QueueEdit:
        return QueueEdit(revision=self.revision, prompt=self.prompt, options=self.options, place=self._place)

    @property
    def _place(self) -> QueuePosition | None:
        match self.place:
            case None:
                return None
            case BeforeRun(before=other):
                return QueuePosition("before", other)
            case AfterRun(after=other):
                return QueuePosition("after", other)
            case end:
                return QueuePosition(end)


class RemoveQueuedQuery(Request):
    """With `revision` the run is removed only if it has not been edited since."""

    revision: int | None = Field(default=None, ge=1)


class QueueQuery(Request):
    """A page of a queue; `cursor` is the `nextCursor` of the page before."""

    cursor: int | None = Field(default=None, ge=-(2**63), le=MAX_SEQ)
    limit: int = Field(default=100, ge=1, le=500)


class DrainBody(Request):
    """Claim and start at most `limit` runs, then count the runs that settle within the wait."""

    limit: Whole = Field(default=10, ge=1, le=100)
    wait_seconds: float = Field(default=0, ge=0, le=60, allow_inf_nan=False, strict=True)


class TodoChangesQuery(Request):
    """Changes after a cursor."""

    after: int = Field(default=0, ge=0, le=MAX_SEQ, description="The `nextCursor` of the page before.")
    limit: int = Field(default=200, ge=1, le=1000)


class TodoHistoryQuery(Request):
    """Changes before a cursor."""

    before: int | None = Field(default=None, ge=1, le=MAX_SEQ, description="The `nextCursor` of the page before.")
    limit: int = Field(default=200, ge=1, le=1000)


class RunAnswer(Wire):
    run_id: UUID
    session_id: UUID
    provider: str
    status: RunStatus
    reason: Reason | None = None
    stop_reason: str | None = None
    attempt: int
    max_attempts: int
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    usage: Usage | None = None
    queue_position: int | None = Field(default=None, description="Runs before this one; for queued runs only.")
    bound: bool
    prompt: str
    warnings: list[RunWarning]
    retry_of: UUID | None = Field(default=None, description="The run whose prompt this run repeats.")


class StartedAnswer(Wire):
    """`seq` is the cursor from which a reader misses no event of the run."""

    run_id: UUID
    session_id: UUID
    status: RunStatus
    seq: int
    queue_position: int
    warnings: list[RunWarning]


class WaitedAnswer(Wire):
    """The answer to `Prefer: wait` when the run ended in time."""

    run: RunAnswer
    events: list[Envelope]
    warnings: list[RunWarning]


class StatusAnswer(Wire):
    run_id: UUID
    status: RunStatus


class BoundAnswer(Wire):
    """This answer shows the key once."""

    run_id: UUID
    session_id: UUID
    attempt: int
    epoch: int
    callback_url: str
    callback_key: str


class RunsAnswer(Wire):
    items: list[RunAnswer]
    next_cursor: str | None = None


class QueuedAnswer(Wire):
    run_id: UUID
    status: RunStatus
    position: int
    attempts: int
    max_attempts: int
    claimed_by: str | None = None
    lock_expires_at: datetime | None = None
    next_attempt_at: datetime | None = None
    last_error: str | None = None
    revision: int
    held_by: str | None = Field(
        default=None, description="What throttles the run: the limit of the system, app or user, or the host."
    )
    held_position: int | None = Field(default=None, description="Runs throttled by the same limit before this run.")


class SessionQueueAnswer(Wire):
    """A session's queue in its order. `nextCursor` is set when more runs may follow."""

    live: RunAnswer | None = None
    items: list[QueueItem]
    next_cursor: int | None = None


class RetryBody(Request):
    """Options that overrule those of the run that is repeated."""

    options: RunOptions = Field(default_factory=RunOptions)


class RunsQuery(PageQuery):
    """Which runs to list; `stuck` ones have waited too long for a part of Runyard."""

    status: RunStatus | None = None
    provider: Text | None = Field(default=None, min_length=1, max_length=100)
    user_id: UUID | None = None
    session_id: UUID | None = None
    stuck: bool = False


class ListedRunAnswer(Wire):
    """A run in a list over sessions. `sessionTitle` is there for those who may see the session; `why` says in one
    sentence what a run that has not ended waits for, which `whyCode` names and `whyValues` fill."""

    run_id: UUID
    session_id: UUID
    session_title: str | None = None
    user_id: UUID
    user_name: str
    provider: str
    status: RunStatus
    attempt: int
    max_attempts: int
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    reason: Reason | None = None
    retry_of: UUID | None = None
    why: str | None = None
    why_code: str | None = None
    why_values: dict[str, str | int] | None = None


class ListedRunsAnswer(Wire):
    items: list[ListedRunAnswer]
    next_cursor: str | None = None

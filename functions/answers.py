"""What the edge answers: wire types. How rows become them stands in rows_to_answers.py."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flask import Response
from pydantic import AwareDatetime, Field

from schema.events import Envelope, Reason, RunWarning, Usage
from schema.queue_api import QueueItem
from schema.rows import RunStatus
from schema.wire import Json, Wire
from schema.worker_api import WorkerReport


def answer(body: Wire, status: int = 200, **headers: str) -> Response:
    """The JSON answer; names of headers are written with underscores."""
    return Response(
        body.model_dump_json(by_alias=True, exclude_none=True),
        status=status,
        mimetype="application/json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


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


class StartedAnswer(Wire):
    """`seq` is the cursor from which a reader misses nothing of the run."""

    run_id: UUID
    session_id: UUID
    status: RunStatus
    seq: int
    queue_position: int
    warnings: list[RunWarning]


class WaitedAnswer(Wire):
    """To `Prefer: wait`, when the run ended in time."""

    run: RunAnswer
    events: list[Envelope]
    warnings: list[RunWarning]


class StatusAnswer(Wire):
    run_id: UUID
    status: RunStatus


class EventsAnswer(Wire):
    """`nextCursor` is there when there may be more."""

    items: list[Envelope]
    next_cursor: int | None = None


class BoundAnswer(Wire):
    """The key is told here and never again."""

    run_id: UUID
    session_id: UUID
    attempt: int
    epoch: int
    callback_url: str
    callback_key: str


class SessionAnswer(Wire):
    session_id: UUID
    title: str
    app_id: UUID
    owner_id: UUID
    created_at: datetime
    updated_at: datetime
    last_seq: int
    epoch: int


class SessionsAnswer(Wire):
    items: list[SessionAnswer]
    next_cursor: str | None = None


class RunsAnswer(Wire):
    items: list[RunAnswer]
    next_cursor: str | None = None


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
    """`diffs` are those of the tool call. `escalatedTo` may answer too (`user:<id>` or `role:<name>`)."""

    session_title: str
    run_status: RunStatus
    diffs: list[Json] | None = None
    escalated_to: str | None = None
    escalated_at: datetime | None = None


class HumanRequestsAnswer(Wire):
    items: list[ShownRequestAnswer]


class HumanRequestDetailAnswer(ShownRequestAnswer):
    """`decidedBy` is a user, a rule with its version, or `timeout`; `told` what the agent was given. `history` is what
    the log tells of it, oldest first."""

    fingerprint: str
    attempt: int
    answer: Json | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    told: str | None = None
    settled_at: datetime | None = None
    history: list[Envelope]


class RepliedAnswer(Wire):
    request_id: UUID
    status: str


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
    held_by: str | None = Field(default=None, description="The limit that keeps it here: system, app or user.")
    held_position: int | None = Field(default=None, description="Runs that the same limit holds before this one.")


class SessionQueueAnswer(Wire):
    """A session's queue in its order. `nextCursor` is there when there may be more."""

    live: RunAnswer | None = None
    items: list[QueueItem]
    next_cursor: int | None = None


class DrainAnswer(Wire):
    claimed: int
    started: int
    succeeded: int
    retried: int
    failed: int
    canceled: int


class ReconciledAnswer(Wire):
    """What was done about one run, and why."""

    run_id: UUID
    action: str
    reason: str


class ReconcileAnswer(Wire):
    """Counts by what was done, and a reason for each run."""

    scanned: int
    adopted: int = 0
    dispatched: int = 0
    retried: int = 0
    failed: int = 0
    cancelled: int = 0
    waiting: int = 0
    reasons: list[ReconciledAnswer]


class Capabilities(Wire):
    """`said` is what the agent of this version says of itself once it has run; `probed` what the conformance probe of
    `probed_version` found, when it was tried; `effective` is what a run may count on."""

    declared: dict[str, bool]
    said: dict[str, bool] | None = None
    probed: dict[str, bool] | None = None
    probed_version: str | None = None
    probed_at: AwareDatetime | None = None
    effective: dict[str, bool]


class ProviderAnswer(Wire):
    name: str
    title: str
    ready: bool
    reason: str | None = None
    version: str | None = None
    options: list[str]
    default_model: str | None = None
    default_mode: str
    capabilities: Capabilities


class ProvidersAnswer(Wire):
    items: list[ProviderAnswer]


class WorkersAnswer(Wire):
    items: list[WorkerReport]


class HealthAnswer(Wire):
    status: str
    version: str


class ReadyAnswer(Wire):
    """`worker` does not decide: the API takes runs while the job worker is away, and says so here."""

    status: str
    database: str
    migrations: str
    listening: str
    worker: str

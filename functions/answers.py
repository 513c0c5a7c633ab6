"""What the edge answers: wire types, and how rows become them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Response
from pydantic import Field

from handlers.read_run import SessionState
from handlers.start_run import Started
from schema.events import Envelope, Reason, RunWarning, Usage
from schema.executor_api import ProviderDeclared
from schema.rows import HumanRequestRow, RunRow, RunStatus, SessionRow, WorkerRow
from schema.wire import Json, Wire


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


class HumanRequestsAnswer(Wire):
    items: list[HumanRequestAnswer]


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
    """`probed` is empty until the pinned version was tried; `effective` is what a run may count on now."""

    declared: dict[str, bool]
    probed: dict[str, bool] | None = None
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


class SyncAnswer(Wire):
    dirty_since: datetime | None = None
    synced_at: datetime | None = None
    failures: int
    next_sync_at: datetime | None = None
    head_snapshot: UUID | None = None


class WorkerAnswer(Wire):
    session_id: UUID
    status: str
    status_since: datetime
    epoch: int
    host: str
    last_error: str | None = None
    sync: SyncAnswer
    next_deadline: datetime | None = None


class WorkersAnswer(Wire):
    items: list[WorkerAnswer]


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


def run_answer(run: RunRow, *, queue_position: int | None = None) -> RunAnswer:
    return RunAnswer(
        run_id=run.id,
        session_id=run.session_id,
        provider=run.provider,
        status=run.status,
        reason=_reason(run),
        stop_reason=run.stop_reason,
        attempt=run.attempt,
        max_attempts=run.max_attempts,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        usage=None if run.usage is None else Usage.model_validate(run.usage),
        queue_position=queue_position if run.status == "queued" else None,
        bound=run.bound,
        prompt=run.prompt,
        warnings=_warnings(run),
    )


def started_answer(started: Started) -> StartedAnswer:
    return StartedAnswer(
        run_id=started.run.id,
        session_id=started.run.session_id,
        status=started.run.status,
        seq=started.seq,
        queue_position=started.queue_position,
        warnings=_warnings(started.run),
    )


def waited_answer(run: RunRow, events: list[Envelope]) -> WaitedAnswer:
    return WaitedAnswer(run=run_answer(run), events=events, warnings=_warnings(run))


def queued_answer(run: RunRow, *, position: int) -> QueuedAnswer:
    return QueuedAnswer(
        run_id=run.id,
        status=run.status,
        position=position,
        attempts=run.attempt,
        max_attempts=run.max_attempts,
        claimed_by=run.claimed_by,
        lock_expires_at=run.lock_expires_at,
        next_attempt_at=run.next_attempt_at if run.status == "queued" else None,
        last_error=run.last_error,
    )


def session_answer(session: SessionRow) -> SessionAnswer:
    return SessionAnswer(
        session_id=session.id,
        title=session.title,
        app_id=session.app_id,
        owner_id=session.owner_id,
        created_at=session.created_at,
        updated_at=session.updated_at,
        last_seq=session.last_seq,
        epoch=session.epoch,
    )


def human_request_answer(request: HumanRequestRow) -> HumanRequestAnswer:
    return HumanRequestAnswer(
        request_id=request.id,
        session_id=request.session_id,
        run_id=request.run_id,
        kind=request.kind,
        status=request.status,
        title=request.title,
        tool_call=request.tool_call,
        options=request.options,
        schema=request.answer_schema,
        requested_at=request.requested_at,
        expires_at=request.expires_at,
        on_expiry=request.on_expiry,
    )


def snapshot_message(state: SessionState) -> dict[str, Any]:
    """The first message of a socket that named no cursor."""
    return {
        "kind": "snapshot",
        "session": session_answer(state.session).to_json(),
        "runs": [run_answer(run).to_json() for run in state.runs],
        "requests": [human_request_answer(request).to_json() for request in state.requests],
        "seq": state.session.last_seq,
    }


def provider_answer(provider: ProviderDeclared) -> ProviderAnswer:
    effective = {name: declared and provider.ready for name, declared in provider.capabilities.items()}
    return ProviderAnswer(
        name=provider.name,
        title=provider.title,
        ready=provider.ready,
        reason=provider.reason,
        version=provider.version,
        options=provider.options,
        default_model=provider.default_model,
        default_mode=provider.default_mode,
        capabilities=Capabilities(declared=provider.capabilities, effective=effective),
    )


def worker_answer(worker: WorkerRow) -> WorkerAnswer:
    sync = SyncAnswer(
        dirty_since=worker.dirty_since,
        synced_at=worker.synced_at,
        failures=worker.sync_failures,
        next_sync_at=worker.next_sync_at,
    )
    return WorkerAnswer(
        session_id=worker.session_id,
        status=worker.status,
        status_since=worker.status_since,
        epoch=worker.epoch,
        host=worker.host,
        last_error=worker.last_error,
        sync=sync,
        next_deadline=worker.next_sync_at,
    )


def _reason(run: RunRow) -> Reason | None:
    if run.reason_code is None or run.reason_message is None:
        return None
    return Reason(code=run.reason_code, message=run.reason_message)


def _warnings(run: RunRow) -> list[RunWarning]:
    return [RunWarning.model_validate(warning) for warning in run.warnings]

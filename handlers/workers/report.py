"""Report a session's worker to its user and operators: how much is saved, and why it has its status.

No host is asked: the row counts as true, and the next pass over the workers corrects it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from handlers.access.permissions import Actor, session_for
from handlers.workers.lifecycle import (
    LifecycleDecision,
    LifeLimits,
    Unsaved,
    WatchedWorker,
    assumed_facts,
    decide,
    limits_of,
)
from handlers.workers.retirement import watch
from handlers.workspaces.sync import UnsavedReason, saving_state, why_unsaved
from schema.errors import NotFound
from schema.rows import SavingRow, WorkerRow
from schema.sql import Conn, fetch_all, fetch_one
from schema.wire import Json
from schema.worker_api import Happened, NextStep, WorkerReport, WorkerSync, WorkerWhy

HISTORY = 20
_JOBS = {
    "start": "look_after_workers",
    "save": "sync_workspace",
    "stop": "look_after_workers",
    "remove": "look_after_workers",
}


@dataclass(frozen=True)
class SavedUpTo:
    """The newest snapshot; `run_number` counts the session's runs from 1."""

    snapshot_id: UUID
    snapshot_number: int
    created_at: datetime
    run_id: UUID | None
    files: int
    bytes: int
    at_rest: bool
    run_number: int


def may_watch(conn: Conn, actor: Actor, session_id: UUID) -> None:
    """Check that the actor is an operator or may see the session. Raises NotFound."""
    if actor.role == "member":
        session_for(conn, actor, session_id)


def list_workers(
    conn: Conn, actor: Actor | None = None, *, default: LifeLimits, after: UUID | None = None, limit: int | None = None
) -> list[WorkerReport]:
    """Return short reports, without how much of each worker is saved. Without an actor each session has its title."""
    workers = fetch_all(conn, "watched_workers", _ListedWorker, after=after, limit=limit)
    return [_in_list(worker, actor, default) for worker in workers]


def report_worker(conn: Conn, session_id: UUID, *, default: LifeLimits) -> WorkerReport:
    """Return the report. Raises NotFound when the session never had a worker."""
    worker, state = watch(conn, session_id), _state(conn, session_id)
    why = why_unsaved(state)
    saved = fetch_one(conn, "saved_up_to", SavedUpTo, session_id=session_id)
    decision = _decision(worker, why, default)
    return _report(worker, decision, sync=_saved_sync(worker, why, saved))


def why_worker(conn: Conn, session_id: UUID, *, default: LifeLimits) -> WorkerWhy:
    """Explain the worker's status. Raises NotFound when the session never had a worker."""
    worker, state = watch(conn, session_id), _state(conn, session_id)
    why = why_unsaved(state)
    decision = _decision(worker, why, default)
    blocked_by = [] if why is None else [why.message]
    if worker.last_error:
        blocked_by.append(worker.last_error)
    return WorkerWhy(
        session_id=session_id,
        state=worker.status,
        blocked_by=blocked_by,
        owner=_owner(worker, state),
        next_deadline=decision.not_before or worker.next_sync_at,
        next_job=_next_job(worker, decision),
        reason=decision.reason,
        code=decision.code,
        history=fetch_history(conn, session_id),
    )


def fetch_history(conn: Conn, session_id: UUID) -> list[Happened]:
    rows = fetch_all(conn, "worker_history", _Happened, session_id=session_id, limit=HISTORY)
    return [Happened(at=row.at, what=row.what, detail=row.detail) for row in rows]


@dataclass(frozen=True)
class _ListedWorker(WatchedWorker):
    owner_id: UUID
    session_title: str
    user_name: str

    def is_seen_by(self, actor: Actor | None) -> bool:
        return actor is None or actor.role == "admin" or actor.user_id == self.owner_id


def _in_list(worker: _ListedWorker, actor: Actor | None, default: LifeLimits) -> WorkerReport:
    """The row alone tells whether there is something to save, so that a list asks nothing more."""
    unsaved = Unsaved("There are changes to save.") if worker.dirty_since else None
    decision = decide(worker, assumed_facts(worker), unsaved, now=worker.at, limits=limits_of(worker.limits, default))
    report = _report(worker, decision, sync=_sync(worker))
    title = worker.session_title if worker.is_seen_by(actor) else None
    return report.model_copy(update={"session_title": title, "user_name": worker.user_name})


@dataclass(frozen=True)
class _Happened:
    at: datetime
    what: str
    detail: Json


def _state(conn: Conn, session_id: UUID) -> SavingRow:
    state = saving_state(conn, session_id)
    if state is None:
        raise NotFound("This session has no worker.", code="unknown_worker")
    return state


def _decision(worker: WatchedWorker, why: UnsavedReason | None, default: LifeLimits) -> LifecycleDecision:
    unsaved = None if why is None else Unsaved(why.message)
    limits = limits_of(worker.limits, default)
    return decide(worker, assumed_facts(worker), unsaved, now=worker.at, limits=limits)


def _owner(worker: WatchedWorker, state: SavingRow) -> str | None:
    if state.is_syncing:
        return "a save"
    return f"run {worker.needed_by}" if worker.needed_by else None


def _next_job(worker: WatchedWorker, decision: LifecycleDecision) -> str | None:
    if worker.needed_by is not None and worker.status != "active":
        return "execute_run"
    if decision.action == "keep":
        return "look_after_workers" if decision.not_before else None
    return _JOBS.get(decision.action)


def _next_step(worker: WatchedWorker, decision: LifecycleDecision) -> tuple[datetime | None, NextStep | None]:
    """When time alone brings the next step, and which it is: the decision's, or else the next sync."""
    if decision.not_before is not None:
        return decision.not_before, decision.then
    return worker.next_sync_at, "save" if worker.next_sync_at else None


def _report(worker: WatchedWorker, decision: LifecycleDecision, *, sync: WorkerSync) -> WorkerReport:
    deadline, step = _next_step(worker, decision)
    is_idle = worker.status == "active" and worker.needed_by is None
    return WorkerReport(
        session_id=worker.session_id,
        status=worker.status,
        status_since=worker.status_since,
        epoch=worker.epoch,
        host=worker.host,
        restored_at=worker.restored_at,
        idle_since=worker.last_used_at if is_idle else None,
        last_error=worker.last_error,
        sync=sync,
        next_deadline=deadline,
        next_step=step,
    )


def _sync(row: WorkerRow) -> WorkerSync:
    return WorkerSync(
        dirty_since=row.dirty_since,
        synced_at=row.synced_at,
        failures=row.sync_failures,
        next_sync_at=row.next_sync_at,
        head_snapshot=row.head_snapshot,
        error=row.sync_error,
    )


def _saved_sync(row: WorkerRow, why: UnsavedReason | None, saved: SavedUpTo | None) -> WorkerSync:
    known: Json = {"is_saved": why is None, "reason": why.message if why else None, "summary": _summary(why, saved)}
    if why is None:
        known["unsaved_files"] = 0
    if saved is not None:
        known |= {"saved_up_to_run": saved.run_id, "saved_up_to_run_number": saved.run_number or None}
        known |= {"saved_files": saved.files, "saved_bytes": saved.bytes}
    return _sync(row).model_copy(update=known)


def _summary(why: UnsavedReason | None, saved: SavedUpTo | None) -> str:
    so_far = "Nothing is saved yet" if saved is None else f"Saved at {saved.created_at:%Y-%m-%d %H:%M:%S} UTC"
    if saved is not None and saved.run_number:
        so_far = f"Saved up to run {saved.run_number}"
    if why is None:
        return f"{so_far}, 0 files unsaved." if saved is not None else "There is nothing to save."
    return f"{so_far}. {why.message}"

"""Record a worker's retirement: decide about it in the transaction that acts on the decision.

Callers hold the worker's lock (handlers/workers/rows.py). The session is locked too, so that no run is claimed between
the decision and its record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from handlers.event_log import SYSTEM, NewEvent, append, hold_session
from handlers.workers.lifecycle import (
    Facts,
    LifecycleAction,
    LifecycleDecision,
    LifeLimits,
    Unsaved,
    WatchedWorker,
    decide,
    limits_of,
)
from handlers.workers.rows import audit, worker_changed
from handlers.workspaces.sync import forget_unsaved, unsaved
from schema.errors import Conflict, NotFound
from schema.job_results import LostChanges
from schema.rows import WorkerStatus
from schema.sql import Conn, fetch_all, fetch_one, fetch_value
from schema.wire import Json, rfc3339

_BEGINS: dict[LifecycleAction, WorkerStatus] = {
    "stop": "stopping",
    "remove": "removing",
    "note_stopped": "stopped",
    "note_absent": "absent",
}


@dataclass(frozen=True)
class WorkerOutline:
    """The fields that show whether a worker needs a closer look, read at `at`."""

    session_id: UUID
    status: WorkerStatus
    status_since: datetime
    dirty_since: datetime | None
    idle_since: datetime | None
    limits: Json
    at: datetime

    def may_be_due(self, default: LifeLimits, *, has_volume: bool, is_running: bool) -> bool:
        """Return whether the worker may need an action. The host says `is_running` and `has_volume`."""
        limits = limits_of(self.limits, default)
        if self.status == "active":
            return not is_running or self._is_past(self.idle_since, limits.idle_stop)
        if self.status == "stopped":
            is_odd = is_running or not has_volume or self.dirty_since is not None
            return is_odd or self._is_past(self.status_since, limits.remove_after)
        return has_volume if self.status == "absent" else True

    def _is_past(self, since: datetime | None, seconds: float | None) -> bool:
        return seconds is not None and (since is None or since + timedelta(seconds=seconds) <= self.at)


def outlines_of_host(conn: Conn, host: str, session_id: UUID | None = None) -> list[WorkerOutline]:
    """Return the outlines of all workers of this host, or of one session's."""
    return fetch_all(conn, "workers_of_host", WorkerOutline, host=host, session_id=session_id)


def watch(conn: Conn, session_id: UUID) -> WatchedWorker:
    """Return the worker with its session's fields. Raises NotFound when the session never had a worker."""
    worker = fetch_one(conn, "watched_worker", WatchedWorker, session_id=session_id)
    if worker is None:
        raise NotFound("This session has no worker.", code="unknown_worker")
    return worker


def look(conn: Conn, session_id: UUID, facts: Facts, *, limits: LifeLimits) -> LifecycleDecision:
    """Decide about the worker; change nothing. `limits` apply to this worker."""
    worker = watch(conn, session_id)
    why = unsaved(conn, session_id)
    known = None if why is None else Unsaved(why.message)
    return decide(worker, facts, known, now=worker.at, limits=limits)


def begin(
    conn: Conn, session_id: UUID, facts: Facts, *, epoch: int, limits: LifeLimits, may: frozenset[LifecycleAction]
) -> LifecycleDecision:
    """Decide, and if `may` allows the action, record its beginning: stop, remove, or a status noticed."""
    hold_session(conn, session_id)
    decision = look(conn, session_id, facts, limits=limits)
    status = _BEGINS.get(decision.action) if decision.action in may else None
    if status is None:
        return decision
    if not worker_changed(conn, session_id, epoch=epoch, status=status):
        return LifecycleDecision("keep", "It has moved to a newer epoch meanwhile.", code="stale_epoch")
    detail: Json = {"reason": decision.reason, "epoch": epoch}
    audit(conn, actor=limits.asked_by or SYSTEM, action=f"worker.{status}", session_id=session_id, detail=detail)
    return decision


def lost_changes(conn: Conn, session_id: UUID) -> LostChanges:
    """Return the changes that would be lost with the worker's volume now."""
    worker, why = watch(conn, session_id), unsaved(conn, session_id)
    steps: int = 0 if why is None else fetch_value(conn, "unsaved_events", session_id=session_id)
    return LostChanges(
        is_anything=why is not None,
        reason=why.message if why else None,
        unsaved_since=worker.dirty_since,
        unsaved_steps=steps,
        newest_snapshot=worker.head_snapshot,
    )


def begin_forced_removal(
    conn: Conn, session_id: UUID, *, actor: str, reason: str, epoch: int | None = None
) -> LostChanges:
    """Begin a removal past the gate on somebody's demand, and audit what it loses. Raises Conflict while a run is at
    work, and when the epoch is not the worker's any more."""
    hold_session(conn, session_id)
    worker = watch(conn, session_id)
    if epoch not in (None, worker.epoch):
        raise Conflict("The worker that was meant is gone; the session has a new one since.", code="stale_epoch")
    if worker.needed_by is not None:
        raise Conflict(f"Run {worker.needed_by} uses the worker or is next: stop the run first.", code="live_run")
    lost = lost_changes(conn, session_id)
    detail = {"reason": reason, "epoch": worker.epoch, "lost": lost.to_json()}
    audit(conn, actor=actor, action="worker.force_removed", session_id=session_id, detail=detail)
    worker_changed(conn, session_id, epoch=worker.epoch, status="removing")
    return lost


def end_forced_removal(conn: Conn, session_id: UUID, lost: LostChanges, *, epoch: int) -> None:
    """Record the removal, and warn the session about the lost changes."""
    head = hold_session(conn, session_id)
    worker_changed(conn, session_id, epoch=epoch, status="absent")
    forget_unsaved(conn, session_id)
    if not lost.is_anything:
        return
    data: Json = {
        "code": "workspace_may_miss_changes",
        "message": "An operator has removed this session's worker with changes that were not saved.",
    }
    if lost.unsaved_since is not None:
        data["since"] = rfc3339(lost.unsaved_since)
    if lost.newest_snapshot is not None:
        data["snapshotId"] = str(lost.newest_snapshot)
    append(conn, head, [NewEvent(type="run.warning", data=data)])

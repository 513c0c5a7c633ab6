"""Show and operate session workers.

Only the job worker reaches executors and hosts, so a route that changes a session worker files a job request and waits.
"""

from __future__ import annotations

from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from functions.http.auth import actor, permission
from functions.http.job_requests import perform, performed
from functions.http.openapi import conflicts
from functions.http.schemas import Nothing, answer
from functions.runtime.process import api_process
from functions.workers.schemas import WorkersAnswer, WorkersQuery
from handlers.access.permissions import require
from handlers.workers.activate import require_session
from handlers.workers.lifecycle import LifeLimits
from handlers.workers.report import list_workers, may_watch, report_worker, why_worker
from handlers.workers.retirement import watch
from schema.errors import Conflict, Invalid
from schema.job_requests import (
    ActivateWorker,
    ForceWord,
    RemoveStoppedWorkers,
    RemoveWorker,
    StopIdleWorkers,
    SyncWorker,
)
from schema.job_results import (
    RemoveSweep,
    StopSweep,
    WorkerActivated,
    WorkerRemoval,
    WorkerRemoved,
    WorkerSaved,
)
from schema.rows import WorkerRow
from schema.wire import Request, Text
from schema.worker_api import WorkerReport, WorkerWhy

WAIT_SECONDS = 60.0
workers = APIBlueprint("workers", __name__, tag="Session workers")


class RemoveQuery(Request):
    """Without `force` Runyard removes a worker only when all of its data is saved."""

    force: ForceWord | None = Field(
        default=None,
        description="Remove the worker with its unsaved changes. Audited with `reason`; for operators only.",
    )
    reason: Text | None = Field(default=None, min_length=1, max_length=200, description="Needed with `force`.")


@workers.get("/api/session-workers")
@permission("workers:list")
@workers.input(WorkersQuery, location="query")
@workers.output(WorkersAnswer)
def get_workers(query_data: WorkersQuery) -> Response:
    """List all session workers"""
    with api_process().transaction() as conn:
        items = list_workers(conn, actor(), default=_limits(), after=query_data.cursor, limit=query_data.limit)
    next_cursor = items[-1].session_id if len(items) == query_data.limit else None
    return answer(WorkersAnswer(items=items, next_cursor=next_cursor))


@workers.get("/api/session-workers/<uuid:session_id>")
@permission("workers:read")
@workers.output(WorkerReport)
def get_worker(session_id: UUID) -> Response:
    """Show a session's worker, and up to which run it is saved"""
    with api_process().transaction() as conn:
        may_watch(conn, actor(), session_id)
        return answer(report_worker(conn, session_id, default=_limits()))


@workers.get("/api/why/workers/<uuid:session_id>")
@permission("workers:read")
@workers.output(WorkerWhy)
def get_why(session_id: UUID) -> Response:
    """Explain the status of a session's worker and its next step"""
    with api_process().transaction() as conn:
        may_watch(conn, actor(), session_id)
        return answer(why_worker(conn, session_id, default=_limits()))


@workers.post("/api/session-workers/<uuid:session_id>/activate")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(WorkerActivated)
def activate_worker(session_id: UUID, json_data: Nothing) -> Response:  # noqa: ARG001
    """Start a session's worker

    A worker whose volume is gone restores the newest snapshot into a new volume. 503 `job_worker_unavailable`: it took
    too long.
    """
    with api_process().transaction() as conn:
        require_session(conn, session_id)
    return perform(
        ActivateWorker(session_id=session_id, actor=actor().author), WorkerActivated, wait_seconds=WAIT_SECONDS
    )


@workers.post("/api/session-workers/<uuid:session_id>/sync")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(WorkerSaved)
def sync_worker(session_id: UUID, json_data: Nothing) -> Response:  # noqa: ARG001
    """Sync a session's workspace now"""
    _known(session_id)
    return perform(SyncWorker(session_id=session_id, actor=actor().author), WorkerSaved, wait_seconds=WAIT_SECONDS)


@workers.post("/api/session-workers/<uuid:session_id>/cleanup/idle")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(StopSweep)
def stop_idle_worker(session_id: UUID, json_data: Nothing) -> Response:  # noqa: ARG001
    """Sync and stop a session's worker

    Only if no run needs it; the idle limit does not matter.
    """
    _known(session_id)
    return perform(StopIdleWorkers(session_id=session_id, actor=actor().author), StopSweep, wait_seconds=WAIT_SECONDS)


@workers.post("/api/session-workers/<uuid:session_id>/cleanup/stopped")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(RemoveSweep)
def remove_stopped_worker(session_id: UUID, json_data: Nothing) -> Response:  # noqa: ARG001
    """Remove a session's stopped worker

    Only when all of its data is verified in the store; the limit of stopped workers does not matter.
    """
    _known(session_id)
    return perform(
        RemoveStoppedWorkers(session_id=session_id, actor=actor().author), RemoveSweep, wait_seconds=WAIT_SECONDS
    )


@workers.post("/api/session-workers/cleanup/idle")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(StopSweep)
def stop_idle_workers(json_data: Nothing) -> Response:  # noqa: ARG001
    """Sync and stop all workers that have been idle for longer than their limit"""
    return perform(StopIdleWorkers(), StopSweep, wait_seconds=WAIT_SECONDS)


@workers.post("/api/session-workers/cleanup/stopped")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(RemoveSweep)
def remove_stopped_workers(json_data: Nothing) -> Response:  # noqa: ARG001
    """Remove all workers that have been stopped for longer than their limit"""
    return perform(RemoveStoppedWorkers(), RemoveSweep, wait_seconds=WAIT_SECONDS)


@workers.delete("/api/session-workers/<uuid:session_id>")
@permission("workers:operate")
@workers.input(RemoveQuery, location="query")
@workers.output(WorkerRemoved)
@workers.doc(responses=conflicts("worker_kept"))
def remove_worker(session_id: UUID, query_data: RemoveQuery) -> Response:
    """Sync, stop and remove a session's worker

    409 `worker_kept` names the reason to keep it. `force=lose-unsaved-changes` with a `reason` removes it all the same;
    Runyard audits that, and the answer lists the lost changes.
    """
    worker = _known(session_id)
    if query_data.force is None:
        request = RemoveWorker(session_id=session_id, actor=actor().author)
    else:
        require(actor(), "workers:force")
        if query_data.reason is None:
            raise Invalid("A forced removal needs a reason.", code="reason_missing")
        request = RemoveWorker(
            session_id=session_id,
            actor=actor().author,
            force=query_data.force,
            reason=query_data.reason,
            epoch=worker.epoch,
        )
    removal = performed(request, WorkerRemoval, wait_seconds=WAIT_SECONDS)
    if removal.kept is not None:
        raise Conflict(removal.kept, code="worker_kept")
    return answer(removal)


def _known(session_id: UUID) -> WorkerRow:
    """Return the session's worker. Raises NotFound when the session never had one."""
    with api_process().transaction() as conn:
        return watch(conn, session_id)


def _limits() -> LifeLimits:
    return api_process().settings.life_limits

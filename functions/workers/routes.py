"""Show and operate session workers.

Only the job worker reaches executors and hosts, so a route that changes a session worker files a job request and waits.
"""

from __future__ import annotations

import json
from typing import Literal
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from functions.http.auth import actor, permission
from functions.http.job_requests import performed
from functions.http.openapi import conflicts
from functions.http.schemas import Nothing, answer
from functions.runtime.process import api_process
from functions.workers.schemas import WorkersAnswer
from handlers.access.permissions import require
from handlers.workers.activate import require_session
from handlers.workers.lifecycle import LifeLimits
from handlers.workers.report import list_workers, may_watch, report_worker, why_worker
from handlers.workers.retirement import Lost, watch
from schema.errors import Conflict, Invalid
from schema.rows import WorkerRow
from schema.wire import Json, Request, Text, Wire
from schema.worker_api import WorkerReport, WorkerWhy

WAIT_SECONDS = 60.0
workers = APIBlueprint("workers", __name__, tag="Session workers")


class ActivatedAnswer(Wire):
    session_id: UUID
    status: Literal["active"]
    epoch: int


class SavedAnswer(Wire):
    """`snapshotId` is the newest snapshot; absent when the session had nothing to save."""

    session_id: UUID
    snapshot_id: UUID | None = None


class KeptAnswer(Wire):
    session_id: UUID
    reason: str


class StopSweepAnswer(Wire):
    """`failed` counts workers that could not be stopped; `skipped` lists every worker that runs on, with its reason."""

    scanned: int
    stopped: int
    failed: int
    skipped: list[KeptAnswer]


class RemoveSweepAnswer(Wire):
    """`failed` counts workers that could not be removed; `skipped` lists every worker that stays, with its reason."""

    scanned: int
    removed: int
    failed: int
    skipped: list[KeptAnswer]


class RemovedAnswer(Wire):
    """`lost` is set after a forced removal: it names the unsaved changes, which are lost."""

    session_id: UUID
    lost: Lost | None = None


class RemoveQuery(Request):
    """Without `force` Runyard removes a worker only when all of its data is saved."""

    force: Literal["lose-unsaved-changes"] | None = Field(
        default=None,
        description="Remove the worker with its unsaved changes. Audited with `reason`; for operators only.",
    )
    reason: Text | None = Field(default=None, min_length=1, max_length=200, description="Needed with `force`.")


@workers.get("/api/session-workers")
@permission("workers:list")
@workers.output(WorkersAnswer)
def get_workers() -> Response:
    """List all session workers"""
    with api_process().transaction() as conn:
        return answer(WorkersAnswer(items=list_workers(conn)))


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
@workers.output(ActivatedAnswer)
def activate_worker(session_id: UUID, json_data: Nothing) -> Response:  # noqa: ARG001
    """Start a session's worker

    A worker whose volume is gone restores the newest snapshot into a new volume. 503 `worker_away`: it took too long.
    """
    with api_process().transaction() as conn:
        require_session(conn, session_id)
    return _asked("activate_worker", session_id)


@workers.post("/api/session-workers/<uuid:session_id>/sync")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(SavedAnswer)
def sync_worker(session_id: UUID, json_data: Nothing) -> Response:  # noqa: ARG001
    """Sync a session's workspace now"""
    _known(session_id)
    return _asked("sync_worker", session_id)


@workers.post("/api/session-workers/<uuid:session_id>/cleanup/idle")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(StopSweepAnswer)
def stop_idle_worker(session_id: UUID, json_data: Nothing) -> Response:  # noqa: ARG001
    """Sync and stop a session's worker

    Only if no run needs it; the idle limit does not matter.
    """
    _known(session_id)
    return _asked("stop_idle_workers", session_id)


@workers.post("/api/session-workers/<uuid:session_id>/cleanup/stopped")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(RemoveSweepAnswer)
def remove_stopped_worker(session_id: UUID, json_data: Nothing) -> Response:  # noqa: ARG001
    """Remove a session's stopped worker

    Only when all of its data is verified in the store; the limit of stopped workers does not matter.
    """
    _known(session_id)
    return _asked("remove_stopped_workers", session_id)


@workers.post("/api/session-workers/cleanup/idle")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(StopSweepAnswer)
def stop_idle_workers(json_data: Nothing) -> Response:  # noqa: ARG001
    """Sync and stop all workers that have been idle for longer than their limit"""
    return _asked("stop_idle_workers")


@workers.post("/api/session-workers/cleanup/stopped")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(RemoveSweepAnswer)
def remove_stopped_workers(json_data: Nothing) -> Response:  # noqa: ARG001
    """Remove all workers that have been stopped for longer than their limit"""
    return _asked("remove_stopped_workers")


@workers.delete("/api/session-workers/<uuid:session_id>")
@permission("workers:operate")
@workers.input(RemoveQuery, location="query")
@workers.output(RemovedAnswer)
@workers.doc(responses=conflicts("worker_kept"))
def remove_worker(session_id: UUID, query_data: RemoveQuery) -> Response:
    """Sync, stop and remove a session's worker

    409 `worker_kept` names the reason to keep it. `force=lose-unsaved-changes` with a `reason` removes it all the same;
    Runyard audits that, and the answer lists the lost changes.
    """
    worker = _known(session_id)
    arguments: Json = {"sessionId": str(session_id), "actor": actor().author}
    if query_data.force is not None:
        require(actor(), "workers:force")
        if query_data.reason is None:
            raise Invalid("A forced removal needs a reason.", code="reason_missing")
        arguments |= {"force": query_data.force, "reason": query_data.reason, "epoch": worker.epoch}
    done = performed("remove_worker", arguments, wait_seconds=WAIT_SECONDS)
    if "kept" in done:
        raise Conflict(done["kept"], code="worker_kept")
    return _answered(done)


def _known(session_id: UUID) -> WorkerRow:
    """Return the session's worker. Raises NotFound when the session never had one."""
    with api_process().transaction() as conn:
        return watch(conn, session_id)


def _asked(kind: str, session_id: UUID | None = None) -> Response:
    arguments = {} if session_id is None else {"sessionId": str(session_id), "actor": actor().author}
    return _answered(performed(kind, arguments, wait_seconds=WAIT_SECONDS))


def _answered(done: Json) -> Response:
    return Response(json.dumps(done), mimetype="application/json")


def _limits() -> LifeLimits:
    return api_process().settings.life_limits

"""Session workers: what is there, how much of it is saved, and what operators have done with it.

Only the job worker reaches executors and hosts: what changes something is asked of it, and waited for.
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
    """`snapshotId` holds the newest state; it is left out when there was nothing to save."""

    session_id: UUID
    snapshot_id: UUID | None = None


class KeptAnswer(Wire):
    session_id: UUID
    reason: str


class StopSweepAnswer(Wire):
    """`failed` counts those that were to be stopped and could not; `skipped` has every worker that runs on, and why."""

    scanned: int
    stopped: int
    failed: int
    skipped: list[KeptAnswer]


class RemoveSweepAnswer(Wire):
    """`failed` counts those that were to be removed and could not; `skipped` has every one that stays, and why."""

    scanned: int
    removed: int
    failed: int
    skipped: list[KeptAnswer]


class RemovedAnswer(Wire):
    """`lost` is there after a forced removal: what was not saved, and is gone."""

    session_id: UUID
    lost: Lost | None = None


class RemoveQuery(Request):
    """Without `force` a worker is removed only when all of it is saved."""

    force: Literal["lose-unsaved-changes"] | None = Field(
        default=None, description="Remove it with what is not saved. Written down with the reason; for operators only."
    )
    reason: Text | None = Field(default=None, min_length=1, max_length=200, description="Why; needed with `force`.")


@workers.get("/api/session-workers")
@permission("workers:list")
@workers.output(WorkersAnswer)
def get_workers() -> Response:
    """All session workers"""
    with api_process().transaction() as conn:
        return answer(WorkersAnswer(items=list_workers(conn)))


@workers.get("/api/session-workers/<uuid:session_id>")
@permission("workers:read")
@workers.output(WorkerReport)
def get_worker(session_id: UUID) -> Response:
    """A session's worker, and up to which run it is saved"""
    with api_process().transaction() as conn:
        may_watch(conn, actor(), session_id)
        return answer(report_worker(conn, session_id, default=_limits()))


@workers.get("/api/why/workers/<uuid:session_id>")
@permission("workers:read")
@workers.output(WorkerWhy)
def get_why(session_id: UUID) -> Response:
    """Why a session's worker is as it is, and what comes next"""
    with api_process().transaction() as conn:
        may_watch(conn, actor(), session_id)
        return answer(why_worker(conn, session_id, default=_limits()))


@workers.post("/api/session-workers/<uuid:session_id>/activate")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(ActivatedAnswer)
def activate_worker(session_id: UUID, json_data: Nothing) -> Response:  # noqa: ARG001
    """Start a session's worker

    Where its place is gone, what is saved is restored into a new one. 503 `worker_away` when it takes too long.
    """
    with api_process().transaction() as conn:
        require_session(conn, session_id)
    return _asked("activate_worker", session_id)


@workers.post("/api/session-workers/<uuid:session_id>/sync")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(SavedAnswer)
def sync_worker(session_id: UUID, json_data: Nothing) -> Response:  # noqa: ARG001
    """Save a session's workspace now"""
    _known(session_id)
    return _asked("sync_worker", session_id)


@workers.post("/api/session-workers/<uuid:session_id>/cleanup/idle")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(StopSweepAnswer)
def stop_idle_worker(session_id: UUID, json_data: Nothing) -> Response:  # noqa: ARG001
    """Save and stop a session's worker

    Without waiting for its limit, and only if no run needs it.
    """
    _known(session_id)
    return _asked("stop_idle_workers", session_id)


@workers.post("/api/session-workers/<uuid:session_id>/cleanup/stopped")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(RemoveSweepAnswer)
def remove_stopped_worker(session_id: UUID, json_data: Nothing) -> Response:  # noqa: ARG001
    """Remove a session's stopped worker

    Without waiting for its limit, and only when all of it is proven to be saved.
    """
    _known(session_id)
    return _asked("remove_stopped_workers", session_id)


@workers.post("/api/session-workers/cleanup/idle")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(StopSweepAnswer)
def stop_idle_workers(json_data: Nothing) -> Response:  # noqa: ARG001
    """Save and stop all workers that are idle for longer than their limit"""
    return _asked("stop_idle_workers")


@workers.post("/api/session-workers/cleanup/stopped")
@permission("workers:operate")
@workers.input(Nothing)
@workers.output(RemoveSweepAnswer)
def remove_stopped_workers(json_data: Nothing) -> Response:  # noqa: ARG001
    """Remove all workers that are stopped for longer than their limit"""
    return _asked("remove_stopped_workers")


@workers.delete("/api/session-workers/<uuid:session_id>")
@permission("workers:operate")
@workers.input(RemoveQuery, location="query")
@workers.output(RemovedAnswer)
@workers.doc(responses=conflicts("worker_kept"))
def remove_worker(session_id: UUID, query_data: RemoveQuery) -> Response:
    """Save, stop and remove a session's worker

    409 `worker_kept` with what keeps it. `force=lose-unsaved-changes` with a `reason` removes it all the same, is
    written down, and answers with what is lost.
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
    """Raises NotFound when the session never had a worker."""
    with api_process().transaction() as conn:
        return watch(conn, session_id)


def _asked(kind: str, session_id: UUID | None = None) -> Response:
    arguments = {} if session_id is None else {"sessionId": str(session_id), "actor": actor().author}
    return _answered(performed(kind, arguments, wait_seconds=WAIT_SECONDS))


def _answered(done: Json) -> Response:
    return Response(json.dumps(done), mimetype="application/json")


def _limits() -> LifeLimits:
    return api_process().settings.life_limits

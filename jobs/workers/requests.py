"""Job requests about session workers, of the API and of the command line."""

from __future__ import annotations

from jobs.context import TaskContext
from jobs.workers.activate import use_worker
from jobs.workers.retirement import DEFAULT_ACTOR, force_remove_worker, remove_stopped, remove_worker, stop_idle
from jobs.workspaces.sync import save_now
from schema.errors import Conflict
from schema.job_requests import (
    FORCE,
    ActivateWorker,
    RemoveStoppedWorkers,
    RemoveWorker,
    StopIdleWorkers,
    SyncWorker,
)
from schema.job_results import RemoveSweep, StopSweep, WorkerActivated, WorkerRemoval, WorkerSaved


def activate_worker(context: TaskContext, request: ActivateWorker) -> WorkerActivated:
    activated = use_worker(context, request.session_id, actor=request.actor or DEFAULT_ACTOR)
    return WorkerActivated(session_id=request.session_id, epoch=activated.epoch)


def sync_worker(context: TaskContext, request: SyncWorker) -> WorkerSaved:
    return WorkerSaved(session_id=request.session_id, snapshot_id=save_now(context, request.session_id, "requested"))


def stop_idle_workers(context: TaskContext, request: StopIdleWorkers) -> StopSweep:
    return stop_idle(context, request.session_id, actor=request.actor or DEFAULT_ACTOR)


def remove_stopped_workers(context: TaskContext, request: RemoveStoppedWorkers) -> RemoveSweep:
    return remove_stopped(context, request.session_id, actor=request.actor or DEFAULT_ACTOR)


def remove_one_worker(context: TaskContext, request: RemoveWorker) -> WorkerRemoval:
    """Remove a worker. A refusal returns `kept` with the reason; only a failure raises an error."""
    session_id, actor = request.session_id, request.actor or DEFAULT_ACTOR
    try:
        if request.force == FORCE:
            return force_remove_worker(context, session_id, actor=actor, reason=request.reason, epoch=request.epoch)
        return remove_worker(context, session_id, actor=actor)
    except Conflict as error:
        return WorkerRemoval(session_id=session_id, kept=error.detail)

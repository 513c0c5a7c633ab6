"""`perform_request`: do one job request of the API or the command line, and store its result for the caller to read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

import structlog
from pydantic import ValidationError

from handlers.job_requests import finish_job_request, job_request
from jobs.context import TaskContext
from jobs.files.live import read_live_files
from jobs.files.put_back import put_back
from jobs.files.uploads import place_requested_uploads
from jobs.runs.drain import drain_queue
from jobs.runs.reconcile import reconcile_runs
from jobs.runtime.database import Away
from jobs.workers.requests import (
    activate_worker,
    remove_one_worker,
    remove_stopped_workers,
    stop_idle_workers,
    sync_worker,
)
from jobs.workspaces.plan_restore import plan_restore
from jobs.workspaces.reconcile_syncs import reconcile_syncs
from schema.errors import RunyardError
from schema.job_requests import (
    ActivateWorker,
    DrainQueue,
    JobRequest,
    PlaceUploads,
    PlanRestore,
    PutBackFiles,
    ReadLiveFiles,
    ReconcileRuns,
    ReconcileSyncs,
    RemoveStoppedWorkers,
    RemoveWorker,
    StopIdleWorkers,
    SyncWorker,
)
from schema.wire import Json, Wire

Perform = Callable[[TaskContext, Json], Wire]
Arguments = TypeVar("Arguments", bound=JobRequest)

_log = structlog.stdlib.get_logger(__name__)


def perform_request(context: TaskContext, job_request_id: UUID) -> None:
    """Perform a job request and store its result. Ignore a finished or unknown request."""
    request = context.database.transact(job_request, job_request_id)
    if request is None or request.finished_at is not None:
        return
    perform = _KINDS.get(request.kind)
    if perform is None:
        _fail(context, job_request_id, f"The job worker does not support the request {request.kind}.")
        return
    try:
        result = perform(context, request.arguments)
    except (RunyardError, ValidationError) as error:
        _log.warning("job_request.failed", kind=request.kind, why=str(error))
        _fail(context, job_request_id, str(error))
        return
    except Away:
        raise  # the job retries when PostgreSQL is back
    except Exception as error:
        _fail(context, job_request_id, f"The job worker failed at the request ({type(error).__name__}). See its log.")
        raise
    context.database.transact(finish_job_request, job_request_id, result=result.to_json())


def _fail(context: TaskContext, job_request_id: UUID, error: str) -> None:
    context.database.transact(finish_job_request, job_request_id, error=error)


def _kind(request: type[Arguments], perform: Callable[[TaskContext, Arguments], Wire]) -> tuple[str, Perform]:
    return request.kind, lambda context, arguments: perform(context, request.model_validate(arguments))


_KINDS: dict[str, Perform] = dict(
    [
        _kind(DrainQueue, drain_queue),
        _kind(PlanRestore, plan_restore),
        _kind(ReadLiveFiles, read_live_files),
        _kind(PutBackFiles, put_back),
        _kind(PlaceUploads, place_requested_uploads),
        _kind(ReconcileRuns, lambda context, _request: reconcile_runs(context)),
        _kind(ReconcileSyncs, lambda context, _request: reconcile_syncs(context)),
        _kind(ActivateWorker, activate_worker),
        _kind(SyncWorker, sync_worker),
        _kind(StopIdleWorkers, stop_idle_workers),
        _kind(RemoveStoppedWorkers, remove_stopped_workers),
        _kind(RemoveWorker, remove_one_worker),
    ]
)

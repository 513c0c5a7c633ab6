"""`perform_operation`: what the API asked of the job worker, done once, its result written down for the API to read."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import structlog
from pydantic import ValidationError

from handlers.job_requests import finish_operation, operation
from jobs.context import TaskContext
from jobs.runs.drain import DrainQueue, drain_queue
from jobs.runs.reconcile import reconcile_runs
from jobs.runtime.database import Away
from jobs.workers.requests import (
    activate_worker,
    remove_one_worker,
    remove_stopped_workers,
    stop_idle_workers,
    sync_worker,
)
from jobs.workspaces.plan_restore import PlanRestore, plan_restore
from jobs.workspaces.reconcile_syncs import reconcile_syncs
from schema.errors import RunyardError
from schema.wire import Json, Wire

_log = structlog.stdlib.get_logger(__name__)


def perform_operation(context: TaskContext, operation_id: UUID) -> None:
    """An operation that is finished already, or unknown, is left alone."""
    wanted = context.database.transact(operation, operation_id)
    if wanted is None or wanted.finished_at is not None:
        return
    perform = _KINDS.get(wanted.kind)
    if perform is None:
        _fail(context, operation_id, f"The job worker knows no operation {wanted.kind}.")
        return
    try:
        result = perform(context, wanted.arguments)
    except (RunyardError, ValidationError) as error:
        _log.warning("operation.failed", kind=wanted.kind, why=str(error))
        _fail(context, operation_id, str(error))
        return
    except Away:
        raise  # it is done once more when PostgreSQL is back
    except Exception as error:
        _fail(context, operation_id, f"The job worker stumbled over it ({type(error).__name__}); its log says more.")
        raise
    context.database.transact(finish_operation, operation_id, result=result.to_json())


def _fail(context: TaskContext, operation_id: UUID, error: str) -> None:
    context.database.transact(finish_operation, operation_id, error=error)


def _drain(context: TaskContext, arguments: Json) -> Wire:
    return drain_queue(context, DrainQueue.model_validate(arguments))


def _reconcile(context: TaskContext, arguments: Json) -> Wire:  # noqa: ARG001  it takes none
    return reconcile_runs(context)


def _reconcile_syncs(context: TaskContext, arguments: Json) -> Wire:  # noqa: ARG001  it takes none
    return reconcile_syncs(context)


def _plan_restore(context: TaskContext, arguments: Json) -> Wire:
    return plan_restore(context, PlanRestore.model_validate(arguments))


_KINDS: dict[str, Callable[[TaskContext, Json], Wire]] = {
    "drain_queue": _drain,
    "plan_restore": _plan_restore,
    "reconcile_runs": _reconcile,
    "reconcile_syncs": _reconcile_syncs,
    "activate_worker": activate_worker,
    "sync_worker": sync_worker,
    "stop_idle_workers": stop_idle_workers,
    "remove_stopped_workers": remove_stopped_workers,
    "remove_worker": remove_one_worker,
}

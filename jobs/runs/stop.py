"""`stop_run`: request the stop from a run's executor; settle the run here when no executor has it.

An unreachable executor learns of the stop at its next callback. The deadline settles the run without the executor.
"""

from __future__ import annotations

from uuid import UUID

import structlog

from handlers.runs.stop import settle_stopped
from jobs.context import TaskContext, trace_of
from jobs.hosts import HostFailed
from jobs.runtime.executor_client import Endpoint, ExecutorError
from jobs.workers.activate import activate
from jobs.workspaces.restore import RestoreIncomplete
from schema.errors import WorkspaceRefused
from schema.rows import RunRow
from schema.sql import fetch_one

_log = structlog.stdlib.get_logger(__name__)


def stop_run(context: TaskContext, run_id: UUID) -> None:
    run = context.database.transact(fetch_one, "run_by_id", RunRow, run_id=run_id)
    if run is None or run.status != "cancelling":
        return
    with trace_of(run).in_logs():
        try:
            _stop(context, run)
        except (ExecutorError, HostFailed, RestoreIncomplete, WorkspaceRefused) as error:
            _log.warning("run.stop_untold", why=error.detail)


def endpoint_of(context: TaskContext, run: RunRow) -> Endpoint | None:
    """Return the run's executor; None without a volume. Restart a dead executor, which ends leftover agents."""
    facts = context.host.facts(run.session_id)
    if not facts.has_volume(run.epoch or 1):
        return None
    why = f"Its executor ended; leftover processes of run {run.id} must end too."
    return facts.endpoint or activate(context, run.session_id, why=why).endpoint


def _stop(context: TaskContext, run: RunRow) -> None:
    endpoint = endpoint_of(context, run)
    if endpoint is None:
        _settle(context, run, "The run was stopped before it began.")
        return
    state = context.executors.stop_run(endpoint, run.id, claim=run.claim, trace=trace_of(run))
    if state is None or state.state in ("refused", "parked"):
        _settle(context, run, "The run was stopped; no agent was working on it.")


def _settle(context: TaskContext, run: RunRow, message: str) -> None:
    context.database.transact(settle_stopped, run.id, message=message)

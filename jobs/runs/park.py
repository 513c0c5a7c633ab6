"""`park_run`: have the agent of a parked run ended. The run itself is not over: its questions stay open.

Done when nothing of it runs any more and all that it said is in the log; only then may it come back, and its worker go.
"""

from __future__ import annotations

import time
from typing import ClassVar
from uuid import UUID

import structlog

from handlers.runs.parking import record_quiesced, run_to_park
from jobs.context import TaskContext, trace_of
from jobs.hosts import HostFailed
from jobs.runs.stop import endpoint_of
from jobs.runtime.executor_client import ExecutorError
from jobs.workspaces.restore import RestoreIncomplete
from schema.errors import Unavailable, WorkspaceRefused
from schema.executor_api import RunState
from schema.rows import RunRow

LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 60.0

_log = structlog.stdlib.get_logger(__name__)


class NotAtRest(Unavailable):
    """The agent of a parked run does not end."""

    code: ClassVar[str] = "not_at_rest"


def park_run(context: TaskContext, run_id: UUID) -> None:
    """What goes wrong is tried again by the reconciler."""
    run = context.database.transact(run_to_park, run_id)
    if run is None:
        return
    with trace_of(run).in_logs():
        try:
            heard_all = _end_agent(context, run)
        except (ExecutorError, HostFailed, NotAtRest, RestoreIncomplete, WorkspaceRefused) as error:
            _log.warning("run.not_at_rest", why=error.detail)
            return
        context.database.transact(record_quiesced, run.id, attempt=run.attempt, heard_all=heard_all)
        _log.info("run.at_rest", heardAll=heard_all)


def _end_agent(context: TaskContext, run: RunRow) -> bool:
    """Whether all that its executor had to say was heard."""
    endpoint = endpoint_of(context, run)
    if endpoint is None:  # its place is gone, and the agent with it
        return False
    state = context.executors.stop_run(endpoint, run.id, claim=run.claim, trace=trace_of(run), parks=True)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while state is not None and not _has_ended(state):
        if time.monotonic() > deadline or context.closing.is_set():
            raise NotAtRest
        time.sleep(LOOK_SECONDS)
        state = context.executors.run_state(endpoint, run.id, trace_of(run))
    return state is not None and state.state != "refused"


def _has_ended(state: RunState) -> bool:
    if state.state == "refused":
        return True
    return state.state in ("parked", "finished", "lost") and state.acked_n == state.last_n

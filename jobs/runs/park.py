"""`park_run`: end the agent of a parked run. The run itself is not over: its requests stay open.

The run is quiesced when its agent has ended and all of its events are in the log. Only then may the run resume and its
worker stop.
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


class NotQuiesced(Unavailable):
    """The agent of a parked run did not end in time."""

    code: ClassVar[str] = "not_at_rest"


def park_run(context: TaskContext, run_id: UUID) -> None:
    """Park a run. The reconciler retries a failure."""
    run = context.database.transact(run_to_park, run_id)
    if run is None:
        return
    with trace_of(run).in_logs():
        try:
            has_all_events = _end_agent(context, run)
        except (ExecutorError, HostFailed, NotQuiesced, RestoreIncomplete, WorkspaceRefused) as error:
            _log.warning("run.not_quiesced", why=error.detail)
            return
        context.database.transact(record_quiesced, run.id, attempt=run.attempt, has_all_events=has_all_events)
        _log.info("run.quiesced", hasAllEvents=has_all_events)


def _end_agent(context: TaskContext, run: RunRow) -> bool:
    """End the agent. Return whether all events of its executor arrived."""
    endpoint = endpoint_of(context, run)
    if endpoint is None:  # the volume is gone, and the agent with it
        return False
    state = context.executors.stop_run(endpoint, run.id, claim=run.claim, trace=trace_of(run), parks=True)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while state is not None and not _has_ended(state):
        if time.monotonic() > deadline or context.closing.is_set():
            raise NotQuiesced
        time.sleep(LOOK_SECONDS)
        state = context.executors.run_state(endpoint, run.id, trace_of(run))
    return state is not None and state.state != "refused"


def _has_ended(state: RunState) -> bool:
    if state.state == "refused":
        return True
    return state.state in ("parked", "finished", "lost") and state.acked_n == state.last_n

"""Stop the runs of disabled users, every second."""

from __future__ import annotations

import structlog

from handlers.runs.leavers import runs_of_disabled_users, stop_run_of_disabled_user
from handlers.runs.stop import StopPolicy
from jobs.context import TaskContext

_log = structlog.stdlib.get_logger(__name__)


def stop_leavers(context: TaskContext) -> None:
    """Stop the runs of disabled users. Several job workers may run this at once: each run is stopped once."""
    policy = StopPolicy(deadline_seconds=context.settings.run_stop_deadline_seconds)
    for leaver in context.database.transact(runs_of_disabled_users):
        if context.database.transact(stop_run_of_disabled_user, leaver, policy=policy):
            _log.info("run.stopped", runId=str(leaver.run_id), sessionId=str(leaver.session_id), why="user_disabled")

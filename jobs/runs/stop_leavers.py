"""Stop the runs of disabled users, every second."""

from __future__ import annotations

import structlog

from handlers.runs.leavers import runs_of_disabled_users, stop_run_of_disabled_user
from handlers.runs.stop import StopPolicy
from jobs.context import TaskContext
from schema.isolation import isolated

_log = structlog.stdlib.get_logger(__name__)


def stop_leavers(context: TaskContext) -> None:
    """Stop the runs of disabled users. Several job workers may run this at once: each run is stopped once."""
    policy = StopPolicy(deadline_seconds=context.settings.run_stop_deadline_seconds)
    for leaver in context.database.transact(runs_of_disabled_users):
        ids = {"runId": str(leaver.run_id), "sessionId": str(leaver.session_id)}
        with isolated("run.not_stopped", **ids):
            if context.database.transact(stop_run_of_disabled_user, leaver, policy=policy):
                _log.info("run.stopped", **ids, why="user_disabled")

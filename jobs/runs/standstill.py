"""Restart executors that stand still during a run, before their leases end.

A stopped process answers nothing and never runs. A process that is slow on a busy machine does run, so it keeps its
lease. Looks are counted, not seconds: a machine that was suspended as a whole has taken none meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import structlog

from handlers.workers.rows import LiveSession, live_sessions
from jobs.context import TaskContext
from jobs.hosts import HostFailed
from jobs.runs.reconcile import restart_executor
from jobs.runtime.trace import Trace
from schema.isolation import isolated

QUIET_SECONDS = 8.0
"""Look at executors that have not called for so long. A heartbeat comes every 5 s."""
LOOKS = 6
"""Restart an executor that has not run between so many looks in a row. Each waits 2 s for an answer."""

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class _Standstill:
    """What `Host.progress` said of a silent executor in `looks` looks in a row."""

    progress: tuple[int, ...]
    looks: int = 1


class StandstillWatch:
    """A periodic task: look at the executors that have become quiet, and restart those that stand still."""

    def __init__(self, context: TaskContext) -> None:
        self._context = context
        self._seen: dict[UUID, _Standstill] = {}

    def run_once(self) -> None:
        left = self._context.settings.run_lease_seconds - QUIET_SECONDS
        quiet = self._context.database.transact(live_sessions, lease_left=left)
        looked = {live: self._look(live.session_id) for live in quiet}
        self._seen = {live.session_id: still for live, still in looked.items() if still is not None}
        for live, still in looked.items():
            if still is not None and still.looks >= LOOKS:
                with isolated("executor.not_restarted", sessionId=live.session_id):
                    self._restart(live, still)

    def _look(self, session_id: UUID) -> _Standstill | None:
        """Return None for an executor that answers, or of which the host cannot tell whether it runs."""
        host = self._context.host
        progress = host.progress(session_id)
        try:
            if progress is None or host.facts(session_id).state != "silent":
                return None
        except HostFailed:
            return None
        before = self._seen.get(session_id)
        is_still = before is not None and before.progress == progress
        return _Standstill(progress, before.looks + 1 if before is not None and is_still else 1)

    def _restart(self, live: LiveSession, still: _Standstill) -> None:
        if self._context.host.progress(live.session_id) != still.progress:
            return
        with Trace(session_id=live.session_id, epoch=live.epoch).in_logs():
            _log.warning("executor.stands_still", pid=still.progress[0], looks=still.looks)
            restart_executor(self._context, live.session_id, why="Its executor stood still during a run.")

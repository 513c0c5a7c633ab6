"""Tell executors where their runs call back and how they sign.

The address and the key are fixed when an attempt starts. Both may have changed since: an executor outlives the job
worker that started it, and its spool outlives the executor. Without this, its events would never arrive.
"""

from __future__ import annotations

from uuid import UUID

import structlog

from handlers.workers.rows import live_sessions
from jobs.context import TaskContext
from jobs.hosts import HostFailed
from jobs.runtime.executor_client import Endpoint, ExecutorError
from jobs.runtime.trace import Trace
from schema.executor_api import Callback, PendingCallback, RenewedCallback, RenewedCallbacks
from schema.isolation import isolated
from schema.secret_keys import credential_id
from schema.signature import callback_key

GENERATION = 1
"""Only the key of a bound run is rotated, and a bound run has no executor of ours."""

_log = structlog.stdlib.get_logger(__name__)


def callback_of(context: TaskContext, run_id: UUID, *, attempt: int) -> Callback:
    """Return where and how an attempt of a run calls back now."""
    key = callback_key(context.settings.runyard_secret_key, run_id=run_id, attempt=attempt, generation=GENERATION)
    return Callback(url=f"{context.settings.callback_url}/api/runs/{run_id}/callbacks", key=key)


def renew_callbacks(context: TaskContext, endpoint: Endpoint, trace: Trace) -> None:
    """Renew the callbacks of the executor's runs that call an old address or sign with an old key. Raise
    ExecutorError."""
    pending = context.executors.pending_callbacks(endpoint, trace)
    renewed = [new for old in pending if (new := _renewed(context, old)) is not None]
    if renewed:
        context.executors.renew_callbacks(endpoint, RenewedCallbacks(items=renewed), trace)
        _log.info("callbacks.renewed", runs=len(renewed))


class CallbackRenewal:
    """Renews the callbacks of executors that already ran when this job worker started, each once.

    An executor that starts later gets them when its session worker is activated.
    """

    def __init__(self, context: TaskContext) -> None:
        self._context = context
        self._left: set[UUID] | None = None

    def run_once(self) -> None:
        """Renew what is left. A silent executor stays left. Raise HostFailed and psycopg's OperationalError."""
        if self._left is None:
            self._left = _sessions_with_executor(self._context)
        for session_id in list(self._left):
            with isolated("callbacks.not_renewed", sessionId=session_id):
                if self._is_done(session_id):
                    self._left.discard(session_id)

    def _is_done(self, session_id: UUID) -> bool:
        try:
            facts = self._context.host.facts(session_id)
            if facts.endpoint is not None and facts.state == "alive":
                trace = Trace(session_id=session_id, epoch=facts.volume_epoch or 0)
                with trace.in_logs():
                    renew_callbacks(self._context, facts.endpoint, trace)
        except (ExecutorError, HostFailed) as error:
            _log.warning("callbacks.not_renewed", sessionId=str(session_id), why=error.detail)
            return False
        return facts.state != "silent"


def _sessions_with_executor(context: TaskContext) -> set[UUID]:
    """Return sessions whose executor may run. An external host knows no sessions, so their runs tell."""
    running = {session_id for session_id, is_running in context.host.sessions().items() if is_running}
    return running | {live.session_id for live in context.database.transact(live_sessions)}


def _renewed(context: TaskContext, pending: PendingCallback) -> RenewedCallback | None:
    """Return the run's callback; None when the executor has it already."""
    callback = callback_of(context, pending.run_id, attempt=pending.attempt)
    if (pending.url, pending.key_id) == (callback.url, credential_id(callback.key)):
        return None
    return RenewedCallback(run_id=pending.run_id, attempt=pending.attempt, callback=callback)

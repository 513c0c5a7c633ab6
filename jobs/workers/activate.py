"""Activate a session's worker: start its executor on a volume of the current epoch, restored if needed.

A lock in PostgreSQL serializes activations, stops and removals of a session. When the volume is gone, a new epoch
begins, and the snapshot is restored before a run starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import ClassVar, TypeGuard
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from handlers.workers.activate import begin_activation, worker_active, worker_used
from handlers.workers.rows import hold_worker, worker_lost, worker_of
from jobs.context import TaskContext
from jobs.hosts import GONE, HostFacts, HostFailed
from jobs.runtime.database import CHECKOUT_SECONDS
from jobs.runtime.executor_client import Endpoint
from jobs.runtime.late_events import reporting_when_late
from jobs.runtime.trace import Trace
from jobs.workers.callbacks import renew_callbacks
from jobs.workspaces.restore import require_store, restore
from schema.errors import RunyardError
from schema.logs import log_context
from schema.rows import RunRow, WorkerRow

WAIT_SECONDS = 300.0
"""The time that an activation waits for another or for a stop: as long as a large restore may take."""

_log = structlog.stdlib.get_logger(__name__)


class WorkerBusy(HostFailed):
    """Another process is starting or stopping the session's worker. Try again later."""

    code: ClassVar[str] = "worker_busy"


class EpochMoved(HostFailed):
    """The session's worker already has a newer epoch."""

    code: ClassVar[str] = "stale_epoch"


@dataclass(frozen=True)
class Activated:
    """An active worker: its executor's endpoint, and the epoch of its volume."""

    endpoint: Endpoint
    epoch: int


def activate(context: TaskContext, session_id: UUID, *, run: RunRow | None = None, why: str = "") -> Activated:
    """Start or adopt the session's worker, for `run` if given, which follows into a new epoch.

    Without a run, `why` is a sentence for the worker's history. Raise HostFailed, RestoreIncomplete, WorkspaceRefused
    and ExecutorError.
    """
    with log_context(sessionId=session_id), holding_worker(context, session_id, seconds=WAIT_SECONDS):
        worker = context.database.call(worker_of, session_id)
        facts = context.host.facts(session_id) if worker is not None else GONE
        return _at_work(context, worker, facts) or _activate(context, session_id, facts, run, why)


def at_work(context: TaskContext, run: RunRow, worker: WorkerRow | None) -> Activated | None:
    """Return the run's active worker; None when it is not active. `worker` is its row at the claim.

    No stop begins after a claim that found the worker active, so this needs no lock.
    """
    if not _is_active(worker, context) or worker.epoch != run.epoch:
        return None
    return _at_work(context, worker, context.host.facts(run.session_id))


def use_worker(context: TaskContext, session_id: UUID, *, actor: str) -> Activated:
    """Activate the worker and record that it is used now."""
    worker = activate(context, session_id, why=f"{actor} requested it.")
    context.database.transact(worker_used, session_id)
    return worker


@contextmanager
def holding_worker(context: TaskContext, session_id: UUID, *, seconds: float) -> Iterator[None]:
    """Lock the session's worker against starts, stops and removals. Raise WorkerBusy after `seconds`."""
    with ExitStack() as until_done:
        try:
            conn = until_done.enter_context(context.database.dedicated(wait_seconds=max(seconds, CHECKOUT_SECONDS)))
            conn.execute("SELECT set_config('lock_timeout', %s, false)", (f"{seconds * 1000:.0f}ms",))
            hold_worker(conn, session_id)
        except (psycopg.errors.LockNotAvailable, PoolTimeout):
            raise WorkerBusy from None
        yield


def _is_active(worker: WorkerRow | None, context: TaskContext) -> TypeGuard[WorkerRow]:
    """Return whether the worker is active on this host and restored, by its row."""
    return (
        worker is not None
        and worker.status == "active"
        and worker.host == context.host.name
        and worker.restored_at is not None
    )


def _at_work(context: TaskContext, worker: WorkerRow | None, facts: HostFacts) -> Activated | None:
    """Return the worker if it is active, restored and answers; else None."""
    if not _is_active(worker, context):
        return None
    if facts.state != "alive" or facts.endpoint is None or not facts.has_volume(worker.epoch):
        return None
    return Activated(facts.endpoint, worker.epoch)


def _activate(context: TaskContext, session_id: UUID, facts: HostFacts, run: RunRow | None, why: str) -> Activated:
    why = why or (f"Run {run.id} needs it." if run else "It is needed.")
    begun = context.database.transact(
        begin_activation,
        session_id,
        host=context.host.name,
        has_volume=facts.has_volume,
        retry=context.retry_policy,
        why=why,
    )
    run_id, traceparent = (run.id, run.traceparent) if run else (None, None)
    trace = Trace(session_id=session_id, epoch=begun.epoch, run_id=run_id, traceparent=traceparent)
    try:
        with trace.in_logs():
            if begun.restoring is not None:
                require_store(context, begun.restoring)
            endpoint = _started(context, trace, why)
            renew_callbacks(context, endpoint, trace)
            if begun.restoring is not None:
                restore(context, trace, endpoint, begun, begun.restoring, run_id=run_id)
    except RunyardError as error:
        context.database.transact(worker_lost, session_id, epoch=begun.epoch, error=error.detail)
        raise
    if not context.database.call(
        worker_active, session_id, epoch=begun.epoch, base_url=endpoint.base_url, key_id=endpoint.key_id
    ):
        raise EpochMoved
    return Activated(endpoint, begun.epoch)


def _started(context: TaskContext, trace: Trace, why: str) -> Endpoint:
    """Start the executor. Report a slow start when it becomes late and when it is done."""
    with reporting_when_late(context.database, trace.session_id, "worker.starting", lambda: {"reason": why}) as work:
        endpoint = context.host.ensure_started(trace.session_id, trace.epoch)
    if work.is_reported:
        work.report("worker.ready", {"seconds": work.seconds})
    return endpoint

"""Retire workers: sync and stop idle workers, remove long-stopped ones, finish interrupted steps.

handlers/workers/lifecycle.py decides each step. Before a stop or a removal, `save_now` verifies the newest state in the
store. Then the step is decided again, under the worker's lock and with the session locked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

import structlog

from handlers.workers.lifecycle import (
    EXTERNAL,
    Facts,
    LifecycleAction,
    LifecycleDecision,
    LifeLimits,
    at_once,
    limits_of,
)
from handlers.workers.retirement import (
    WorkerOutline,
    begin,
    begin_forced_removal,
    end_forced_removal,
    look,
    outlines_of_host,
    watch,
)
from handlers.workers.rows import worker_changed
from jobs.context import TaskContext
from jobs.hosts import HostFailed
from jobs.runtime.executor_client import ExecutorError
from jobs.workers.activate import WorkerBusy, activate, holding_worker
from jobs.workspaces.sync import LEASE_WAIT_SECONDS, NotSaved, NotYetSaved, save_now
from schema.errors import Conflict, RunyardError
from schema.isolation import isolated
from schema.job_results import RemoveSweep, SkippedWorker, StopSweep, WorkerRemoval
from schema.logs import log_context
from schema.rows import WorkerStatus
from schema.workspace_api import SyncReason

AT_ONCE = 4
MOST_STEPS = 8
LOOK_SECONDS = 0.5
"""The time that a sweep waits for a worker that another process starts or stops."""
FORCE_SECONDS = 60.0
DEFAULT_ACTOR = "An operator"
FAILED = "Runyard failed on the worker; the job worker's log names the error. The next pass tries again."
_ALL: frozenset[LifecycleAction] = frozenset({"start", "save", "stop", "remove", "note_stopped", "note_absent"})

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Retired:
    """The result of a worker's retirement: the reason why it stopped there, and whether a step failed."""

    session_id: UUID
    status: WorkerStatus
    reason: str
    has_failed: bool = False


def stop_idle(context: TaskContext, session_id: UUID | None = None, *, actor: str = DEFAULT_ACTOR) -> StopSweep:
    """Sync and stop workers idle beyond their limit. With a session, stop its worker without waiting."""
    workers = _outlines(context, session_id, "active")
    asked_by = actor if session_id else None
    retired = _retire_all(context, workers, asked_by=asked_by, may=_ALL - {"remove"}, why="stop")
    stopped = [worker for worker in retired if worker.status in ("stopped", "absent")]
    rest = [worker for worker in retired if worker not in stopped]
    failed = sum(worker.has_failed for worker in rest)
    return StopSweep(scanned=len(workers), stopped=len(stopped), failed=failed, skipped=_skipped(rest))


def remove_stopped(context: TaskContext, session_id: UUID | None = None, *, actor: str = DEFAULT_ACTOR) -> RemoveSweep:
    """Remove workers stopped beyond their limit, after a sync if needed. With a session, do not wait."""
    workers = _outlines(context, session_id, "stopped")
    retired = _retire_all(context, workers, asked_by=actor if session_id else None, may=_ALL, why="remove")
    removed = [worker for worker in retired if worker.status == "absent"]
    rest = [worker for worker in retired if worker not in removed]
    failed = sum(worker.has_failed for worker in rest)
    return RemoveSweep(scanned=len(workers), removed=len(removed), failed=failed, skipped=_skipped(rest))


def remove_worker(context: TaskContext, session_id: UUID, *, actor: str = DEFAULT_ACTOR) -> WorkerRemoval:
    """Sync, stop and remove a worker now. Raise Conflict with the reason that keeps it."""
    _require_own(context, session_id)
    retired = _retire(context, session_id, limits=at_once(actor), may=_ALL, why="remove")
    if retired.status != "absent":
        raise Conflict(f"The worker was not removed: {retired.reason}", code="worker_kept")
    return WorkerRemoval(session_id=session_id)


def force_remove_worker(
    context: TaskContext, session_id: UUID, *, actor: str, reason: str, epoch: int | None = None
) -> WorkerRemoval:
    """Remove a worker although unsaved data is lost; record the loss in the session.

    `epoch` is the volume's: a repeated job must not remove a newer volume. Raise Conflict for another epoch, and while
    a run is active.
    """
    _require_own(context, session_id)
    with log_context(sessionId=session_id), holding_worker(context, session_id, seconds=FORCE_SECONDS):
        worker = context.database.transact(watch, session_id)
        lost = context.database.transact(begin_forced_removal, session_id, actor=actor, reason=reason, epoch=epoch)
        _log.warning("worker.force_removed", actor=actor, why=reason, lost=lost.is_anything)
        context.host.remove(session_id)
        context.database.transact(end_forced_removal, session_id, lost, epoch=worker.epoch)
    return WorkerRemoval(session_id=session_id, lost=lost)


def _require_own(context: TaskContext, session_id: UUID) -> None:
    """Raise Conflict for an external worker, or one on another host: this host would take its volume for gone."""
    worker = context.database.transact(watch, session_id)
    if worker.status != "absent" and (worker.host == EXTERNAL or worker.host != context.host.name):
        detail = f"The worker was not removed: it runs on the host {worker.host}, which another job worker manages."
        raise Conflict(detail, code="worker_kept")


def look_after_workers(context: TaskContext) -> list[Retired]:
    """Compare each worker's row with its host, and do the due steps."""
    if context.host.name == EXTERNAL:
        return []
    there = context.host.sessions()
    due = [
        worker
        for worker in context.database.transact(outlines_of_host, context.host.name)
        if worker.may_be_due(
            context.life_limits, has_volume=worker.session_id in there, is_running=there.get(worker.session_id, False)
        )
    ]
    patience = context.patience
    patience.forget(but={worker.session_id for worker in due})
    due = [worker for worker in due if patience.is_due(worker, is_running=there.get(worker.session_id, False))]
    retired = _retire_all(context, due, asked_by=None, may=_ALL, why="stop")
    for worker, outcome in zip(due, retired, strict=True):
        if outcome.status == worker.status:
            patience.kept(worker, is_running=there.get(worker.session_id, False))
    return retired


def _outlines(context: TaskContext, session_id: UUID | None, status: WorkerStatus) -> list[WorkerOutline]:
    if session_id is not None:
        context.database.transact(watch, session_id)  # NotFound
    workers = context.database.transact(outlines_of_host, context.host.name, session_id)
    return [worker for worker in workers if worker.status == status]


def _retire_all(
    context: TaskContext,
    workers: Iterable[WorkerOutline],
    *,
    asked_by: str | None,
    may: frozenset[LifecycleAction],
    why: SyncReason,
) -> list[Retired]:
    def retire(worker: WorkerOutline) -> Retired:
        with isolated("worker.not_retired", sessionId=worker.session_id):
            limits = at_once(asked_by) if asked_by else limits_of(worker.limits, context.life_limits)
            return _retire(context, worker.session_id, limits=limits, may=may, why=why)
        return Retired(worker.session_id, worker.status, FAILED, has_failed=True)

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="retire") as threads:
        return list(threads.map(retire, workers))


def _skipped(retired: Iterable[Retired]) -> list[SkippedWorker]:
    return [SkippedWorker(session_id=worker.session_id, reason=worker.reason) for worker in retired]


def _retire(
    context: TaskContext, session_id: UUID, *, limits: LifeLimits, may: frozenset[LifecycleAction], why: SyncReason
) -> Retired:
    """Do step after step until none is due or one fails. Later passes continue from there."""
    reason, has_failed = "The worker's state keeps changing. The next pass continues.", False
    with log_context(sessionId=session_id):
        try:
            for _ in range(MOST_STEPS):
                decision = _step(context, session_id, limits=limits, may=may, why=why)
                if decision is not None:
                    reason = decision.reason
                    break
        except (WorkerBusy, NotYetSaved) as error:
            reason = error.detail
        except RunyardError as error:
            _log.warning("worker.kept", code=error.problem_code, why=error.detail)
            reason, has_failed = error.detail, True
        status = context.database.transact(watch, session_id).status
    return Retired(session_id, status, reason, has_failed)


def _step(
    context: TaskContext, session_id: UUID, *, limits: LifeLimits, may: frozenset[LifecycleAction], why: SyncReason
) -> LifecycleDecision | None:
    """Do the next step. Return None when more steps may follow, else the final decision."""
    decision = context.database.transact(look, session_id, _facts(context, session_id), limits=limits)
    if decision.action not in may or context.closing.is_set():
        return decision
    if decision.action == "start":
        _start_again(context, session_id, decision.reason)
        return None
    if decision.action in ("save", "stop"):
        patience = LEASE_WAIT_SECONDS if limits.asked_by else 0  # the next pass retries
        save_now(context, session_id, why, wait_seconds=patience)
    if decision.action == "remove" and not _is_verified(context, session_id):
        return None
    return None if decision.action == "save" else _end(context, session_id, limits=limits, may=may)


def _start_again(context: TaskContext, session_id: UUID, reason: str) -> None:
    with holding_worker(context, session_id, seconds=LOOK_SECONDS):
        _log.warning("worker.restarted", why=reason)
    activate(context, session_id, why=reason)


def _is_verified(context: TaskContext, session_id: UUID) -> bool:
    """Whether the store holds all of the worker's data. If not, restart the worker and sync it."""
    try:
        save_now(context, session_id, "remove")
    except NotSaved as error:
        if context.host.facts(session_id).state == "alive":
            raise
        _start_again(context, session_id, error.detail)
        save_now(context, session_id, "remove")
        return False
    return True


def _end(
    context: TaskContext, session_id: UUID, *, limits: LifeLimits, may: frozenset[LifecycleAction]
) -> LifecycleDecision | None:
    """Decide again under the worker's lock. Stop or remove the worker if that is still due."""
    with holding_worker(context, session_id, seconds=LOOK_SECONDS):
        epoch, facts = context.database.transact(watch, session_id).epoch, _facts(context, session_id)
        decision = context.database.transact(begin, session_id, facts, epoch=epoch, limits=limits, may=may)
        if decision.action == "stop":
            _carry_out(context, session_id, epoch, "stopping", "stopped", context.host.stop)
        elif decision.action == "remove":
            _carry_out(context, session_id, epoch, "removing", "absent", context.host.remove)
    return decision if decision.action == "keep" else None


def _carry_out(
    context: TaskContext,
    session_id: UUID,
    epoch: int,
    begun: WorkerStatus,
    retired: WorkerStatus,
    act: Callable[[UUID], None],
) -> None:
    _log.info("worker.retiring", status=begun)
    try:
        act(session_id)
    except HostFailed as error:
        context.database.transact(worker_changed, session_id, epoch=epoch, status=begun, error=error.detail)
        raise
    context.database.transact(worker_changed, session_id, epoch=epoch, status=retired)
    _log.info("worker.retired", status=retired)


def _facts(context: TaskContext, session_id: UUID) -> Facts:
    epoch = context.database.transact(watch, session_id).epoch
    host_facts = context.host.facts(session_id)
    state, spooled, agents = host_facts.state, 0, 0
    if state == "alive" and host_facts.endpoint is not None:
        try:
            health = context.executors.health(host_facts.endpoint.base_url)
            spooled, agents = health.spooled, health.runs
        except ExecutorError:
            state = "silent"
    return Facts(executor=state, has_volume=host_facts.has_volume(epoch), spooled=spooled, agents=agents)

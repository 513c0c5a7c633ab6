"""Retiring workers: idle ones are saved and stopped, long stopped ones removed, interrupted ones brought to rest.

Each step is decided by handlers/workers/lifecycle.py. Before a stop or a removal the newest state is proven to be in
the store
(`save_now`); the decision is then taken once more, under the worker's lock and with the session held.
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
    Glimpse,
    begin,
    begin_forced_removal,
    end_forced_removal,
    glimpses,
    look,
    watch,
)
from handlers.workers.rows import worker_changed
from jobs.context import TaskContext
from jobs.hosts import HostFailed
from jobs.runtime.executor_client import ExecutorError
from jobs.workers.activate import WorkerBusy, activate, holding_worker
from jobs.workspaces.sync import ANOTHERS_TURN_SECONDS, NotSaved, NotYetSaved, save_now
from schema.errors import Conflict, RunyardError
from schema.job_results import RemoveSweep, SkippedWorker, StopSweep, WorkerRemoval
from schema.logs import log_context
from schema.rows import WorkerStatus
from schema.workspace_api import SyncReason

AT_ONCE = 4
MOST_STEPS = 8
LOOK_SECONDS = 0.5
"""How long a sweep waits for a worker that somebody else starts or stops."""
FORCE_SECONDS = 60.0
SOMEBODY = "An operator"
_ALL: frozenset[LifecycleAction] = frozenset({"start", "save", "stop", "remove", "note_stopped", "note_absent"})

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Retired:
    """Where a worker's retirement has come to: the reason why it goes no further, and whether something failed."""

    session_id: UUID
    status: WorkerStatus
    reason: str
    has_failed: bool = False


def stop_idle(context: TaskContext, session_id: UUID | None = None, *, actor: str = SOMEBODY) -> StopSweep:
    """Save and stop what has been idle for longer than its limit; of one session, without waiting for the limit."""
    found = _glimpses(context, session_id, "active")
    asked_by = actor if session_id else None
    ended = _retire_all(context, found, asked_by=asked_by, may=_ALL - {"remove"}, why="stop")
    stopped = [each for each in ended if each.status in ("stopped", "absent")]
    rest = [each for each in ended if each not in stopped]
    failed = sum(each.has_failed for each in rest)
    return StopSweep(scanned=len(found), stopped=len(stopped), failed=failed, skipped=_kept(rest))


def remove_stopped(context: TaskContext, session_id: UUID | None = None, *, actor: str = SOMEBODY) -> RemoveSweep:
    """Remove what has been stopped for longer than its limit, saving it first if that is needed; of one session,
    without waiting for the limit."""
    found = _glimpses(context, session_id, "stopped")
    ended = _retire_all(context, found, asked_by=actor if session_id else None, may=_ALL, why="remove")
    removed = [each for each in ended if each.status == "absent"]
    rest = [each for each in ended if each not in removed]
    failed = sum(each.has_failed for each in rest)
    return RemoveSweep(scanned=len(found), removed=len(removed), failed=failed, skipped=_kept(rest))


def remove_worker(context: TaskContext, session_id: UUID, *, actor: str = SOMEBODY) -> WorkerRemoval:
    """Save, stop and remove it now. Raises Conflict with what keeps it."""
    _require_own(context, session_id)
    ended = _retire(context, session_id, limits=at_once(actor), may=_ALL, why="remove")
    if ended.status != "absent":
        raise Conflict(f"The worker was not removed: {ended.reason}", code="worker_kept")
    return WorkerRemoval(session_id=session_id)


def force_remove_worker(
    context: TaskContext, session_id: UUID, *, actor: str, reason: str, epoch: int | None = None
) -> WorkerRemoval:
    """Remove it with what is not saved; written down, and told to its session. `epoch` is that of the place which was
    meant: a job that is done once more must not take what has come since. Raises Conflict then, and while a run is
    live."""
    _require_own(context, session_id)
    with log_context(sessionId=session_id), holding_worker(context, session_id, seconds=FORCE_SECONDS):
        worker = context.database.transact(watch, session_id)
        lost = context.database.transact(begin_forced_removal, session_id, actor=actor, reason=reason, epoch=epoch)
        _log.warning("worker.force_removed", actor=actor, why=reason, lost=lost.is_anything)
        context.host.remove(session_id)
        context.database.transact(end_forced_removal, session_id, lost, epoch=worker.epoch)
    return WorkerRemoval(session_id=session_id, lost=lost)


def _require_own(context: TaskContext, session_id: UUID) -> None:
    """Raises Conflict for a worker of another host than this job worker's, which takes its place for gone, and for one
    that somebody else runs."""
    worker = context.database.transact(watch, session_id)
    if worker.status != "absent" and (worker.host == EXTERNAL or worker.host != context.host.name):
        detail = (
            f"The worker was not removed: it is on the host {worker.host}, which this job worker does not look after."
        )
        raise Conflict(detail, code="worker_kept")


def look_after_workers(context: TaskContext) -> list[Retired]:
    """One pass: what its host says of each worker against its row, and whatever is due."""
    if context.host.name == EXTERNAL:
        return []
    there = context.host.sessions()
    due = [
        each
        for each in context.database.transact(glimpses, context.host.name)
        if each.may_be_due(
            context.life_limits, is_placed=each.session_id in there, is_running=there.get(each.session_id, False)
        )
    ]
    return _retire_all(context, due, asked_by=None, may=_ALL, why="stop")


def _glimpses(context: TaskContext, session_id: UUID | None, status: WorkerStatus) -> list[Glimpse]:
    if session_id is not None:
        context.database.transact(watch, session_id)  # NotFound
    found = context.database.transact(glimpses, context.host.name, session_id)
    return [each for each in found if each.status == status]


def _retire_all(
    context: TaskContext,
    found: Iterable[Glimpse],
    *,
    asked_by: str | None,
    may: frozenset[LifecycleAction],
    why: SyncReason,
) -> list[Retired]:
    def retire(each: Glimpse) -> Retired:
        limits = at_once(asked_by) if asked_by else limits_of(each.limits, context.life_limits)
        return _retire(context, each.session_id, limits=limits, may=may, why=why)

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="retire") as threads:
        return list(threads.map(retire, found))


def _kept(ended: Iterable[Retired]) -> list[SkippedWorker]:
    return [SkippedWorker(session_id=each.session_id, reason=each.reason) for each in ended]


def _retire(
    context: TaskContext, session_id: UUID, *, limits: LifeLimits, may: frozenset[LifecycleAction], why: SyncReason
) -> Retired:
    """Step by step until nothing more is to be done, or something fails: later passes go on from there."""
    reason, has_failed = "It changes again and again; another pass will see to it.", False
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
    """Do the next thing. None when there may be more to do; else the decision that ends it."""
    decision = context.database.transact(look, session_id, _facts(context, session_id), limits=limits)
    if decision.action not in may or context.closing.is_set():
        return decision
    if decision.action == "start":
        _start_again(context, session_id, decision.reason)
        return None
    if decision.action in ("save", "stop"):
        patience = ANOTHERS_TURN_SECONDS if limits.asked_by else 0  # a pass comes again
        save_now(context, session_id, why, wait_seconds=patience)
    if decision.action == "remove" and not _is_proven(context, session_id):
        return None
    return None if decision.action == "save" else _end(context, session_id, limits=limits, may=may)


def _start_again(context: TaskContext, session_id: UUID, reason: str) -> None:
    with holding_worker(context, session_id, seconds=LOOK_SECONDS):
        _log.warning("worker.started_again", why=reason)  # nobody else is at it
    activate(context, session_id, why=reason)


def _is_proven(context: TaskContext, session_id: UUID) -> bool:
    """Whether all that it holds is in the store. If not, it is started again, and saved from what it has."""
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
    """Under the worker's lock: decide once more, and do it if it is still an end that is due."""
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
    ended: WorkerStatus,
    act: Callable[[UUID], None],
) -> None:
    _log.info("worker.retiring", status=begun)
    try:
        act(session_id)
    except HostFailed as error:
        context.database.transact(worker_changed, session_id, epoch=epoch, status=begun, error=error.detail)
        raise
    context.database.transact(worker_changed, session_id, epoch=epoch, status=ended)
    _log.info("worker.retired", status=ended)


def _facts(context: TaskContext, session_id: UUID) -> Facts:
    epoch = context.database.transact(watch, session_id).epoch
    found = context.host.facts(session_id)
    state, spooled, agents = found.state, 0, 0
    if state == "alive" and found.endpoint is not None:
        try:
            health = context.executors.health(found.endpoint.base_url)
            spooled, agents = health.spooled, health.runs
        except ExecutorError:
            state = "silent"
    return Facts(executor=state, has_volume=found.has_volume(epoch), spooled=spooled, agents=agents)

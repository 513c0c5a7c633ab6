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
from pydantic import Field

from handlers.workers.lifecycle import EXTERNAL, Action, Facts, LifecycleDecision, LifeLimits, at_once, limits_of
from handlers.workers.retirement import (
    Glimpse,
    Lost,
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
from schema.logs import log_context
from schema.rows import WorkerStatus
from schema.wire import Wire
from schema.workspace_api import SyncReason

AT_ONCE = 4
MOST_STEPS = 8
LOOK_SECONDS = 0.5
"""How long a sweep waits for a worker that somebody else starts or stops."""
FORCE_SECONDS = 60.0
SOMEBODY = "An operator"
_ALL: frozenset[Action] = frozenset({"start", "save", "stop", "remove", "note_stopped", "note_absent"})

_log = structlog.stdlib.get_logger(__name__)


class SkippedWorker(Wire):
    """A worker that is as it was, and why."""

    session_id: UUID
    reason: str


class StopSweep(Wire):
    """`failed` counts those that were to be stopped and could not; their reasons are among `skipped`."""

    scanned: int = 0
    stopped: int = 0
    failed: int = 0
    skipped: list[SkippedWorker] = Field(default_factory=list)


class RemoveSweep(Wire):
    """As StopSweep."""

    scanned: int = 0
    removed: int = 0
    failed: int = 0
    skipped: list[SkippedWorker] = Field(default_factory=list)


class Removed(Wire):
    """`lost` is there after a forced removal."""

    session_id: UUID
    lost: Lost | None = None


@dataclass(frozen=True)
class Retired:
    """Where a worker's retirement has come to: the reason why it goes no further, and whether something failed."""

    session_id: UUID
    status: WorkerStatus
    reason: str
    has_failed: bool = False


def stop_idle(shop: TaskContext, session_id: UUID | None = None, *, actor: str = SOMEBODY) -> StopSweep:
    """Save and stop what has been idle for longer than its limit; of one session, without waiting for the limit."""
    found = _glimpses(shop, session_id, "active")
    asked_by = actor if session_id else None
    ended = _retire_all(shop, found, asked_by=asked_by, may=_ALL - {"remove"}, why="stop")
    stopped = [each for each in ended if each.status in ("stopped", "absent")]
    rest = [each for each in ended if each not in stopped]
    failed = sum(each.has_failed for each in rest)
    return StopSweep(scanned=len(found), stopped=len(stopped), failed=failed, skipped=_kept(rest))


def remove_stopped(shop: TaskContext, session_id: UUID | None = None, *, actor: str = SOMEBODY) -> RemoveSweep:
    """Remove what has been stopped for longer than its limit, saving it first if that is needed; of one session,
    without waiting for the limit."""
    found = _glimpses(shop, session_id, "stopped")
    ended = _retire_all(shop, found, asked_by=actor if session_id else None, may=_ALL, why="remove")
    removed = [each for each in ended if each.status == "absent"]
    rest = [each for each in ended if each not in removed]
    failed = sum(each.has_failed for each in rest)
    return RemoveSweep(scanned=len(found), removed=len(removed), failed=failed, skipped=_kept(rest))


def remove_worker(shop: TaskContext, session_id: UUID, *, actor: str = SOMEBODY) -> Removed:
    """Save, stop and remove it now. Raises Conflict with what keeps it."""
    _require_own(shop, session_id)
    ended = _retire(shop, session_id, limits=at_once(actor), may=_ALL, why="remove")
    if ended.status != "absent":
        raise Conflict(f"The worker was not removed: {ended.reason}", code="worker_kept")
    return Removed(session_id=session_id)


def force_remove_worker(
    shop: TaskContext, session_id: UUID, *, actor: str, reason: str, epoch: int | None = None
) -> Removed:
    """Remove it with what is not saved; written down, and told to its session. `epoch` is that of the place which was
    meant: a job that is done once more must not take what has come since. Raises Conflict then, and while a run is
    live."""
    _require_own(shop, session_id)
    with log_context(sessionId=session_id), holding_worker(shop, session_id, seconds=FORCE_SECONDS):
        worker = shop.database.transact(watch, session_id)
        lost = shop.database.transact(begin_forced_removal, session_id, actor=actor, reason=reason, epoch=epoch)
        _log.warning("worker.force_removed", actor=actor, why=reason, lost=lost.is_anything)
        shop.host.remove(session_id)
        shop.database.transact(end_forced_removal, session_id, lost, epoch=worker.epoch)
    return Removed(session_id=session_id, lost=lost)


def _require_own(shop: TaskContext, session_id: UUID) -> None:
    """Raises Conflict for a worker of another host than this job worker's, which takes its place for gone, and for one
    that somebody else runs."""
    worker = shop.database.transact(watch, session_id)
    if worker.status != "absent" and (worker.host == EXTERNAL or worker.host != shop.host.name):
        detail = (
            f"The worker was not removed: it is on the host {worker.host}, which this job worker does not look after."
        )
        raise Conflict(detail, code="worker_kept")


def look_after_workers(shop: TaskContext) -> list[Retired]:
    """One pass: what its host says of each worker against its row, and whatever is due."""
    if shop.host.name == EXTERNAL:
        return []
    there = shop.host.sessions()
    due = [
        each
        for each in shop.database.transact(glimpses, shop.host.name)
        if each.may_be_due(
            shop.life_limits, is_placed=each.session_id in there, is_running=there.get(each.session_id, False)
        )
    ]
    return _retire_all(shop, due, asked_by=None, may=_ALL, why="stop")


def _glimpses(shop: TaskContext, session_id: UUID | None, status: WorkerStatus) -> list[Glimpse]:
    if session_id is not None:
        shop.database.transact(watch, session_id)  # NotFound
    found = shop.database.transact(glimpses, shop.host.name, session_id)
    return [each for each in found if each.status == status]


def _retire_all(
    shop: TaskContext, found: Iterable[Glimpse], *, asked_by: str | None, may: frozenset[Action], why: SyncReason
) -> list[Retired]:
    def retire(each: Glimpse) -> Retired:
        limits = at_once(asked_by) if asked_by else limits_of(each.limits, shop.life_limits)
        return _retire(shop, each.session_id, limits=limits, may=may, why=why)

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="retire") as threads:
        return list(threads.map(retire, found))


def _kept(ended: Iterable[Retired]) -> list[SkippedWorker]:
    return [SkippedWorker(session_id=each.session_id, reason=each.reason) for each in ended]


def _retire(
    shop: TaskContext, session_id: UUID, *, limits: LifeLimits, may: frozenset[Action], why: SyncReason
) -> Retired:
    """Step by step until nothing more is to be done, or something fails: later passes go on from there."""
    reason, has_failed = "It changes again and again; another pass will see to it.", False
    with log_context(sessionId=session_id):
        try:
            for _ in range(MOST_STEPS):
                decision = _step(shop, session_id, limits=limits, may=may, why=why)
                if decision is not None:
                    reason = decision.reason
                    break
        except (WorkerBusy, NotYetSaved) as error:
            reason = error.detail
        except RunyardError as error:
            _log.warning("worker.kept", code=error.problem_code, why=error.detail)
            reason, has_failed = error.detail, True
        status = shop.database.transact(watch, session_id).status
    return Retired(session_id, status, reason, has_failed)


def _step(
    shop: TaskContext, session_id: UUID, *, limits: LifeLimits, may: frozenset[Action], why: SyncReason
) -> LifecycleDecision | None:
    """Do the next thing. None when there may be more to do; else the decision that ends it."""
    decision = shop.database.transact(look, session_id, _facts(shop, session_id), limits=limits)
    if decision.action not in may or shop.closing.is_set():
        return decision
    if decision.action == "start":
        _start_again(shop, session_id, decision.reason)
        return None
    if decision.action in ("save", "stop"):
        patience = ANOTHERS_TURN_SECONDS if limits.asked_by else 0  # a pass comes again
        save_now(shop, session_id, why, wait_seconds=patience)
    if decision.action == "remove" and not _is_proven(shop, session_id):
        return None
    return None if decision.action == "save" else _end(shop, session_id, limits=limits, may=may)


def _start_again(shop: TaskContext, session_id: UUID, reason: str) -> None:
    with holding_worker(shop, session_id, seconds=LOOK_SECONDS):
        _log.warning("worker.started_again", why=reason)  # nobody else is at it
    activate(shop, session_id, why=reason)


def _is_proven(shop: TaskContext, session_id: UUID) -> bool:
    """Whether all that it holds is in the store. If not, it is started again, and saved from what it has."""
    try:
        save_now(shop, session_id, "remove")
    except NotSaved as error:
        if shop.host.facts(session_id).state == "alive":
            raise
        _start_again(shop, session_id, error.detail)
        save_now(shop, session_id, "remove")
        return False
    return True


def _end(
    shop: TaskContext, session_id: UUID, *, limits: LifeLimits, may: frozenset[Action]
) -> LifecycleDecision | None:
    """Under the worker's lock: decide once more, and do it if it is still an end that is due."""
    with holding_worker(shop, session_id, seconds=LOOK_SECONDS):
        epoch, facts = shop.database.transact(watch, session_id).epoch, _facts(shop, session_id)
        decision = shop.database.transact(begin, session_id, facts, epoch=epoch, limits=limits, may=may)
        if decision.action == "stop":
            _carry_out(shop, session_id, epoch, "stopping", "stopped", shop.host.stop)
        elif decision.action == "remove":
            _carry_out(shop, session_id, epoch, "removing", "absent", shop.host.remove)
    return decision if decision.action == "keep" else None


def _carry_out(
    shop: TaskContext,
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
        shop.database.transact(worker_changed, session_id, epoch=epoch, status=begun, error=error.detail)
        raise
    shop.database.transact(worker_changed, session_id, epoch=epoch, status=ended)
    _log.info("worker.retired", status=ended)


def _facts(shop: TaskContext, session_id: UUID) -> Facts:
    epoch = shop.database.transact(watch, session_id).epoch
    found = shop.host.facts(session_id)
    state, spooled, agents = found.state, 0, 0
    if state == "alive" and found.endpoint is not None:
        try:
            health = shop.executors.health(found.endpoint.base_url)
            spooled, agents = health.spooled, health.runs
        except ExecutorError:
            state = "silent"
    return Facts(executor=state, has_place=found.has_place(epoch), spooled=spooled, agents=agents)

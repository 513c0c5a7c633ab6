"""One pass over the runs that are overdue: ask each executor, decide, carry out. Also answers left undelivered, and
requests that nobody answered in time."""

from __future__ import annotations

from collections import Counter
from typing import Literal
from uuid import UUID

import structlog
from pydantic import Field

from handlers.enqueue import defer_delivery
from handlers.human_loop.reply import undelivered
from handlers.runs.reconcile import ExecutorFacts, ReconcileDecision, carry_out, decide, overdue_runs, well_for_seconds
from handlers.workers.rows import live_sessions
from jobs.context import TaskContext, trace_of
from jobs.hosts import HostFacts, HostFailed
from jobs.human_loop.expire import expire_requests
from jobs.runtime.executor_client import ExecutorError
from jobs.runtime.trace import Trace
from jobs.workers.activate import activate
from jobs.workspaces.restore import RestoreIncomplete
from schema.errors import WorkspaceRefused
from schema.rows import RunRow
from schema.sql import Conn, fetch_the
from schema.wire import Wire

UNDELIVERED_SECONDS = 15.0
UNREACHABLE = ExecutorFacts(reachable=False)

Done = Literal["adopted", "retried", "failed", "dispatched", "cancelled", "waiting"]

_log = structlog.stdlib.get_logger(__name__)


class Reconciled(Wire):
    """What was done about one run, and why."""

    run_id: UUID
    action: Done
    reason: str


class Reconciliation(Wire):
    """One pass, counted."""

    scanned: int = 0
    adopted: int = 0
    retried: int = 0
    failed: int = 0
    dispatched: int = 0
    cancelled: int = 0
    waiting: int = 0
    reasons: list[Reconciled] = Field(default_factory=list)


def reconcile_runs(shop: TaskContext) -> Reconciliation:
    """Safe to run by several at once: what another has done meanwhile is left alone."""
    runs = shop.database.transact(overdue_runs, shop.limits)
    reasons = [done for run in runs if (done := _reconcile(shop, run)) is not None]
    redeliver(shop)
    expire_requests(shop)
    counts: Counter[str] = Counter(done.action for done in reasons)
    return Reconciliation(scanned=len(runs), reasons=reasons, **counts)


def reclaim_runs(shop: TaskContext, orphans: list[RunRow]) -> None:
    """Runs whose job worker ended between their claim and their start."""
    for run in orphans:
        _reconcile(shop, run, claimer_is_gone=True)


def redeliver(shop: TaskContext) -> None:
    """Answers whose delivery was tried in vain get a job again."""
    for request_id in shop.database.transact(undelivered, older_than_seconds=UNDELIVERED_SECONDS):
        shop.database.transact(defer_delivery, request_id)


def look_after_executors(shop: TaskContext) -> None:
    """Every few seconds: an executor that was killed with a run in hand is started again where it was. It then ends
    what its agent has left, delivers its spool, and says itself what became of the run. If its place is gone too, the
    run gets another attempt in a new one, or fails."""
    for live in shop.database.transact(live_sessions):
        if shop.host.is_dead(live.session_id):
            with Trace(session_id=live.session_id, epoch=live.epoch).in_logs():
                _log.warning("executor.dead")
                _restart(shop, live.session_id)
    shop.host.look_after()


def _reconcile(shop: TaskContext, run: RunRow, *, claimer_is_gone: bool = False) -> Reconciled | None:
    """None when the run has moved on meanwhile."""
    with trace_of(run).in_logs():
        well = shop.database.transact(well_for_seconds, shop.limits)
        facts = _facts(shop, run)
        decision = decide(run, facts, well_for_seconds=well, limits=shop.limits, claimer_is_gone=claimer_is_gone)
        if decision.action == "wait":
            return Reconciled(run_id=run.id, action="waiting", reason=decision.reason)
        done = shop.database.transact(_carried_out, shop, run, decision)
        if done is None:
            return None
        _log.warning("run.reconciled", action=done, why=decision.reason)
        return Reconciled(run_id=run.id, action=done, reason=decision.reason)


def _carried_out(conn: Conn, shop: TaskContext, run: RunRow, decision: ReconcileDecision) -> Done | None:
    if not carry_out(conn, run, decision, limits=shop.limits, policy=shop.retry_policy):
        return None
    if decision.action == "adopt":
        return "adopted"
    if decision.action == "dispatch":
        return "dispatched"
    status = fetch_the(conn, "run_by_id", RunRow, run_id=run.id).status
    return "cancelled" if status == "cancelled" else "failed" if status == "failed" else "retried"


def _facts(shop: TaskContext, run: RunRow) -> ExecutorFacts:
    if run.bound or run.status in ("queued", "parked", "cancelling"):
        return UNREACHABLE
    try:
        facts = shop.host.facts(run.session_id)
    except HostFailed as error:  # a host that cannot tell of one session keeps no other from being looked after
        _log.warning("worker.unknown", why=error.detail)
        return UNREACHABLE
    if facts.state == "dead" and run.lease_expires_at is not None:
        facts = _restart(shop, run.session_id)
    if facts.endpoint is None:
        return UNREACHABLE
    try:
        state = shop.executors.run_state(facts.endpoint, run.id, trace_of(run))
    except ExecutorError as error:
        _log.warning("executor.unreachable", why=error.detail)
        return UNREACHABLE
    return ExecutorFacts(reachable=True, state=state)


def _restart(shop: TaskContext, session_id: UUID) -> HostFacts:
    try:
        return HostFacts("alive", activate(shop, session_id, why="Its executor has ended with a run in hand.").endpoint)
    except (HostFailed, RestoreIncomplete, WorkspaceRefused, ExecutorError) as error:
        _log.warning("executor.not_restarted", why=error.detail)
        return HostFacts("dead")

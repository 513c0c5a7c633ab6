"""Reconcile overdue runs: ask each executor, decide and act.

A pass also redelivers undelivered answers and expires unanswered requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

import structlog

from handlers.enqueue import defer_delivery
from handlers.human_loop.reply import undelivered
from handlers.runs.claim import end_claim
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
from schema.isolation import isolated
from schema.job_results import ReconciledRun, ReconcileOutcome, RunReconciliation
from schema.rows import RunRow
from schema.sql import Conn, fetch_the

UNDELIVERED_SECONDS = 15.0
ENDED = "Its executor ended during a run."
UNREACHABLE = ExecutorFacts(reachable=False)

_log = structlog.stdlib.get_logger(__name__)


def reconcile_runs(context: TaskContext) -> RunReconciliation:
    """Run one pass. Several job workers may run it at once: a pass skips runs that another one settled.

    A run that cannot be reconciled is logged and left to the next pass.
    """
    runs = context.database.transact(overdue_runs, context.limits)
    reasons = list(_reconcile_each(context, runs))
    redeliver(context)
    expire_requests(context)
    counts: Counter[str] = Counter(done.action for done in reasons)
    return RunReconciliation(scanned=len(runs), reasons=reasons, **counts)


def reclaim_runs(context: TaskContext, orphans: list[RunRow]) -> None:
    """Reconcile runs whose job worker ended between their claim and their start."""
    for _ in _reconcile_each(context, orphans, claimer_is_gone=True):
        pass


def reclaim_failed(context: TaskContext) -> None:
    """Reconcile runs whose job failed between their claim and their start, as soon as PostgreSQL takes writes again.

    Such a job could not requeue its run: the disk was full, or PostgreSQL was away.
    """
    for claimed in context.claims.failed:
        with isolated("run.not_reclaimed", runId=claimed.id, sessionId=claimed.session_id):
            run = context.database.transact(end_claim, claimed)
            if run is not None:
                _reconcile(context, run)
        context.claims.forget_failed(claimed)


def redeliver(context: TaskContext) -> None:
    """Defer a new job for each answer whose delivery failed."""
    for request_id in context.database.transact(undelivered, older_than_seconds=UNDELIVERED_SECONDS):
        with isolated("answer.not_redelivered", requestId=request_id):
            context.database.transact(defer_delivery, request_id)


def look_after_executors(context: TaskContext) -> None:
    """Restart executors that were killed during a run, on the same volume, every few seconds.

    A restarted executor ends leftover agents, delivers its spool, and reports the run's outcome. Without the volume,
    the run gets another attempt on a new one, or fails.
    """
    for live in context.database.transact(live_sessions):
        with isolated("executor.not_looked_after", sessionId=live.session_id):
            if context.host.is_dead(live.session_id):
                with Trace(session_id=live.session_id, epoch=live.epoch).in_logs():
                    _log.warning("executor.dead")
                    restart_executor(context, live.session_id)
    context.host.look_after()


def _reconcile_each(
    context: TaskContext, runs: list[RunRow], *, claimer_is_gone: bool = False
) -> Iterator[ReconciledRun]:
    for run in runs:
        with isolated("run.not_reconciled", runId=run.id, sessionId=run.session_id):
            done = _reconcile(context, run, claimer_is_gone=claimer_is_gone)
            if done is not None:
                yield done


def _reconcile(context: TaskContext, run: RunRow, *, claimer_is_gone: bool = False) -> ReconciledRun | None:
    """Reconcile a run. Return None when its state changed meanwhile."""
    with trace_of(run).in_logs():
        well = context.database.transact(well_for_seconds, context.limits)
        facts = _facts(context, run)
        decision = decide(run, facts, well_for_seconds=well, limits=context.limits, claimer_is_gone=claimer_is_gone)
        if decision.action == "wait":
            return ReconciledRun(run_id=run.id, action="waiting", reason=decision.reason)
        done = context.database.transact(_carried_out, context, run, decision)
        if done is None:
            return None
        _log.warning("run.reconciled", action=done, why=decision.reason)
        return ReconciledRun(run_id=run.id, action=done, reason=decision.reason)


def _carried_out(conn: Conn, context: TaskContext, run: RunRow, decision: ReconcileDecision) -> ReconcileOutcome | None:
    if not carry_out(conn, run, decision, limits=context.limits, policy=context.retry_policy):
        return None
    if decision.action == "adopt":
        return "adopted"
    if decision.action == "dispatch":
        return "dispatched"
    status = fetch_the(conn, "run_by_id", RunRow, run_id=run.id).status
    return "cancelled" if status == "cancelled" else "failed" if status == "failed" else "retried"


def _facts(context: TaskContext, run: RunRow) -> ExecutorFacts:
    if run.bound or run.status in ("queued", "parked", "cancelling"):
        return UNREACHABLE
    try:
        facts = context.host.facts(run.session_id)
    except HostFailed as error:  # one session's host failure must not stop the others
        _log.warning("worker.unknown", why=error.detail)
        return UNREACHABLE
    if facts.state == "dead" and run.lease_expires_at is not None:
        facts = restart_executor(context, run.session_id)
    if facts.endpoint is None:
        return UNREACHABLE
    try:
        state = context.executors.run_state(facts.endpoint, run.id, trace_of(run))
    except ExecutorError as error:
        _log.warning("executor.unreachable", why=error.detail)
        return UNREACHABLE
    return ExecutorFacts(reachable=True, state=state)


def restart_executor(context: TaskContext, session_id: UUID, *, why: str = ENDED) -> HostFacts:
    """Start the session's executor again unless it answers, and return what is known of it then."""
    try:
        return HostFacts("alive", activate(context, session_id, why=why).endpoint)
    except (HostFailed, RestoreIncomplete, WorkspaceRefused, ExecutorError) as error:
        _log.warning("executor.not_restarted", why=error.detail)
        return HostFacts("dead")

"""Reconcile overdue runs: decide about each from its row and its executor's answer, and apply the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from handlers.enqueue import defer_park, defer_run
from handlers.event_log import append, hold_session
from handlers.runs.parking import lose_attempt
from handlers.runs.settle import RetryPolicy, cancel
from schema.executor_api import RunState
from schema.isolation import rows_that_load
from schema.rows import RunRow
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_value

ReconcileAction = Literal["wait", "adopt", "dispatch", "retry", "cancel", "stop_again"]


@dataclass(frozen=True, kw_only=True)
class ReconcileLimits:
    """All in seconds. `undispatched`: how long a due run may be first in its queue without a job."""

    lease_seconds: float
    undispatched_seconds: float = 15
    break_seconds: float = 20


@dataclass(frozen=True)
class ExecutorFacts:
    """The executor's answer about a run. Not `reachable`: no answer. No `state`: the executor does not know the run."""

    reachable: bool
    state: RunState | None = None


@dataclass(frozen=True)
class ReconcileDecision:
    """An action and its reason, as a sentence. `at_once`: a new attempt skips the retry delay."""

    action: ReconcileAction
    reason: str
    at_once: bool = False


def decide(
    run: RunRow,
    facts: ExecutorFacts,
    *,
    well_for_seconds: float | None,
    limits: ReconcileLimits,
    claimer_is_gone: bool = False,
) -> ReconcileDecision:
    """Decide about a run that is overdue by its row, or whose claimer is gone. Pure. `well_for_seconds` is how long the
    control plane has been available."""
    if run.status == "queued":
        return ReconcileDecision("dispatch", "The run was due, but no job was queued for it.")
    if run.status == "parked":
        return ReconcileDecision("dispatch", "The agent was not quiesced in time.")
    if run.status == "cancelling":
        return ReconcileDecision("cancel", "The executor did not end the run before the deadline.")
    if facts.reachable and _is_at_work(run, facts.state):
        return ReconcileDecision("adopt", "The executor still works on the run.")
    if claimer_is_gone:
        return ReconcileDecision("retry", "The job worker that claimed the run has ended.", at_once=True)
    if facts.reachable:
        return ReconcileDecision("retry", _why_not_at_work(run, facts.state))
    if run.status == "starting" and run.lease_expires_at is None:
        return ReconcileDecision("retry", "The job that claimed the run did not start it in time.")
    if well_for_seconds is None or well_for_seconds < limits.lease_seconds:
        return ReconcileDecision("wait", "The control plane was unavailable; waiting one full lease.")
    return ReconcileDecision("retry", "The executor has not reported on the run within its lease.")


def overdue_runs(conn: Conn, limits: ReconcileLimits, *, limit: int = 200) -> list[RunRow]:
    """Return runs that need a decision now, without those whose row cannot be read."""

    def read(run_ids: Sequence[UUID]) -> list[RunRow]:
        return fetch_all(conn, "runs_by_ids", RunRow, run_ids=list(run_ids))

    overdue = _overdue(conn, limits, run_id=None, limit=limit)
    return rows_that_load(conn, overdue, read, event="run.not_reconciled", name="runId")


def orphaned_runs(conn: Conn, run_id: UUID | None = None) -> list[RunRow]:
    """Return runs (or this run) whose claimer has no presence mark and has not dispatched them to an executor."""
    return fetch_all(conn, "orphaned_runs", RunRow, run_id=run_id)


def well_for_seconds(conn: Conn, limits: ReconcileLimits) -> float | None:
    """Return for how many seconds every part of the control plane has been available; None when a part is away."""
    well: float | None = fetch_value(conn, "well_for_seconds", break_seconds=limits.break_seconds)
    return well


def carry_out(
    conn: Conn, seen: RunRow, decision: ReconcileDecision, *, limits: ReconcileLimits, policy: RetryPolicy
) -> bool:
    """Apply the decision; return False if the run has changed since it was read."""
    head = hold_session(conn, seen.session_id)
    run = fetch_one(conn, "run_by_id", RunRow, run_id=seen.id)
    if run is None or not _is_as_seen(run, seen) or not (is_overdue(conn, run, limits) or orphaned_runs(conn, run.id)):
        return False
    policy = RetryPolicy(delay_seconds=0) if decision.at_once else policy
    if decision.action == "adopt":
        execute(conn, "extend_lease", run_id=run.id, numbered=0, lease_seconds=limits.lease_seconds)
    elif decision.action == "dispatch" and run.status == "parked":
        defer_park(conn, run.id)
    elif decision.action == "dispatch":
        defer_run(conn, run.id)
    elif decision.action == "cancel":
        append(conn, head, cancel(conn, run, message=decision.reason))
    elif decision.action == "retry":
        code = "agent_lost" if run.prompt_delivered else "executor_lost"
        append(conn, head, lose_attempt(conn, run, policy, code=code, message=decision.reason))
    return decision.action != "wait"


def is_overdue(conn: Conn, run: RunRow, limits: ReconcileLimits) -> bool:
    """Return whether the run is still overdue in database time; a heartbeat may have arrived meanwhile."""
    return bool(_overdue(conn, limits, run_id=run.id, limit=1))


def part_seen(conn: Conn, part: str, limits: ReconcileLimits) -> None:
    """Record that a part of the control plane (`api` or `worker`) is alive."""
    execute(conn, "part_seen", part=part, break_seconds=limits.break_seconds)


def seconds_since_seen(conn: Conn, part: str) -> float | None:
    """Return the seconds of database time since the part was last alive; None if it never was."""
    seconds: float | None = fetch_value(conn, "seconds_since_seen", part=part)
    return seconds


def _is_at_work(run: RunRow, state: RunState | None) -> bool:
    """Return whether the executor works on the attempt or delivers its events; never for a refused attempt."""
    return (
        state is not None
        and state.attempt == run.attempt
        and state.state != "refused"
        and (state.state in ("starting", "running", "waiting", "stopping") or state.acked_n < state.last_n)
    )


def _why_not_at_work(run: RunRow, state: RunState | None) -> str:
    if state is not None and state.attempt == run.attempt and state.state == "refused":
        return f"The executor refused the attempt: {(state.reason or 'it gave no reason').rstrip('.')}."
    return "The executor no longer knows this attempt."


def _is_as_seen(run: RunRow, seen: RunRow) -> bool:
    return (run.status, run.claim, run.attempt, run.lease_expires_at) == (
        seen.status,
        seen.claim,
        seen.attempt,
        seen.lease_expires_at,
    )


@dataclass(frozen=True)
class _Id:
    id: UUID


def _overdue(conn: Conn, limits: ReconcileLimits, *, run_id: UUID | None, limit: int) -> list[UUID]:
    undispatched = limits.undispatched_seconds
    rows = fetch_all(conn, "runs_to_reconcile", _Id, run_id=run_id, undispatched_seconds=undispatched, limit=limit)
    return [row.id for row in rows]

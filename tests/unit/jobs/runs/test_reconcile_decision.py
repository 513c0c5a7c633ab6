"""The reconciler's decision about an overdue run, case by case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from handlers.runs.reconcile import ExecutorFacts, ReconcileLimits, decide
from schema.executor_api import RunState
from schema.rows import RunRow, RunStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = ReconcileLimits(lease_seconds=60)
RUN = RunRow(
    id=uuid4(),
    session_id=uuid4(),
    user_id=uuid4(),
    app_id=uuid4(),
    app_version=1,
    provider="demo",
    prompt="hello",
    options={},
    warnings=[],
    traceparent="",
    status="running",
    position=0,
    bound=False,
    claim=1,
    claimed_by="one",
    lock_expires_at=None,
    attempt=2,
    max_attempts=3,
    key_generation=1,
    previous_key_until=None,
    epoch=1,
    prompt_delivered=True,
    lease_expires_at=NOW,
    next_attempt_at=NOW,
    timeout_seconds=None,
    cancel_deadline_at=None,
    last_error=None,
    usage=None,
    reason_code=None,
    reason_message=None,
    stop_reason=None,
    created_at=NOW,
    started_at=NOW,
    finished_at=None,
    human_loop={},
    parked_at=None,
    held_by=None,
    held_since=None,
    revision=1,
    retry_of=None,
)
SILENT = ExecutorFacts(reachable=False)
UNKNOWN = ExecutorFacts(reachable=True)


def says(
    state: str, *, attempt: int = 2, last_n: int = 5, acked_n: int = 5, reason: str | None = None
) -> ExecutorFacts:
    told = {"runId": str(RUN.id), "state": state, "attempt": attempt, "claim": 1, "lastN": last_n, "ackedN": acked_n}
    return ExecutorFacts(reachable=True, state=RunState.model_validate({**told, "reason": reason}))


@pytest.mark.parametrize(
    ("status", "facts", "well", "action"),
    [
        ("queued", SILENT, None, "dispatch"),
        ("parked", SILENT, None, "dispatch"),
        ("cancelling", SILENT, None, "cancel"),
        ("cancelling", says("stopping"), 600.0, "cancel"),
        ("running", says("running"), None, "adopt"),
        ("running", says("starting"), 0.0, "adopt"),
        ("waiting", says("waiting"), 600.0, "adopt"),
        ("running", says("finished", last_n=9), 600.0, "adopt"),
        ("running", says("lost", last_n=6), 600.0, "adopt"),
        ("running", says("finished"), 600.0, "retry"),
        ("running", says("refused"), 600.0, "retry"),
        ("running", says("refused", last_n=9), 600.0, "retry"),
        ("running", says("running", attempt=1), 600.0, "retry"),
        ("running", UNKNOWN, None, "retry"),
        ("starting", UNKNOWN, None, "retry"),
        ("running", SILENT, None, "wait"),
        ("running", SILENT, 59.0, "wait"),
        ("running", SILENT, 60.0, "retry"),
        ("starting", SILENT, 59.0, "wait"),
    ],
)
def test_an_overdue_run_waits_retries_or_ends_as_its_executor_says(
    status: RunStatus, facts: ExecutorFacts, well: float | None, action: str
) -> None:
    decision = decide(replace(RUN, status=status), facts, well_for_seconds=well, limits=LIMITS)
    assert decision.action == action
    assert decision.reason.endswith(".")


def test_why_an_executor_gave_a_run_up_is_told() -> None:
    facts = says("refused", last_n=9, reason="The control plane answered 413")
    assert "answered 413." in decide(RUN, facts, well_for_seconds=600.0, limits=LIMITS).reason


CLAIMED = replace(RUN, status="starting", lease_expires_at=None, lock_expires_at=NOW)


@pytest.mark.parametrize(
    ("facts", "action", "at_once"),
    [(SILENT, "retry", True), (UNKNOWN, "retry", True), (says("starting"), "adopt", False)],
)
def test_a_run_whose_claimer_is_gone_is_taken_at_once(facts: ExecutorFacts, action: str, *, at_once: bool) -> None:
    decision = decide(CLAIMED, facts, well_for_seconds=None, limits=LIMITS, claimer_is_gone=True)
    assert (decision.action, decision.at_once) == (action, at_once)


def test_a_claim_that_has_run_out_waits_for_the_retry_delay() -> None:
    decision = decide(CLAIMED, SILENT, well_for_seconds=None, limits=LIMITS)
    assert (decision.action, decision.at_once) == ("retry", False)


def test_a_claim_that_no_executor_has_seen_is_not_waited_for() -> None:
    claimed = replace(RUN, status="starting", lease_expires_at=None)
    assert decide(claimed, SILENT, well_for_seconds=None, limits=LIMITS).action == "retry"

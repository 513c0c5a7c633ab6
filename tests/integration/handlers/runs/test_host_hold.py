"""A claimed run whose host fails waits for the host and uses no attempt, where another attempt is safe."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handlers.access.permissions import Actor
from handlers.event_log import hold_session
from handlers.runs.claim import claim_run, hold_for_part, requeue
from handlers.runs.limits import NO_LIMITS, NeededPart, start_missed_throttled
from handlers.runs.queue import QueueEdit, QueuePosition, edit_queued
from handlers.runs.settle import RetryPolicy, has_attempts_left
from handlers.runs.start import Start, start_run
from handlers.runs.why import why_run
from schema.options import RunOptions
from schema.rows import RunRow
from schema.sql import Conn
from tests.integration.handlers.conftest import STOP, TRACEPARENT, jobs, log_of, run_now
from tests.integration.log.laws import broken_laws

pytestmark = pytest.mark.both_postgres
AT_ONCE = RetryPolicy(delay_seconds=0)


def started(conn: Conn, actor: Actor, **changes: object) -> RunRow:
    wanted = {"prompt": "go", "options": RunOptions(), "max_attempts": 1, "traceparent": TRACEPARENT, **changes}
    with conn.transaction():
        return start_run(conn, actor, Start(**wanted), stop_policy=STOP).run  # type: ignore[arg-type]


def claimed(conn: Conn, run: RunRow) -> RunRow:
    conn.execute("DELETE FROM procrastinate_jobs WHERE args ->> 'run_id' = %s", (str(run.id),))
    with conn.transaction():
        claim = claim_run(conn, run.id, owner="test", lock_seconds=60)
    assert claim is not None
    return claim.run


def held(conn: Conn, run: RunRow, part: NeededPart = "host") -> bool:
    why = {"fault": "It is away.", "code": "worker_not_started", "message": "No answer."}
    with conn.transaction():
        return hold_for_part(conn, run, AT_ONCE, part=part, **why)


@pytest.mark.parametrize("part", ["host", "store"])
def test_attempts_that_a_part_gave_back_do_not_count_and_those_lost_otherwise_do(
    conn: Conn, actor: Actor, part: NeededPart
) -> None:
    run = started(conn, actor, max_attempts=2)
    for _ in range(3):
        assert held(conn, claimed(conn, run), part)
        assert (run_now(conn, run.id).held_by, jobs(conn, "execute_run", run.id)) == (part, 0)
        assert why_run(conn, actor, run.id).code == f"limit_of_{part}"
        assert broken_laws(conn, run.session_id) == []
    lost = claimed(conn, run)
    with conn.transaction():
        assert requeue(conn, lost, AT_ONCE, code="executor_unreachable", message="No answer.")
    assert has_attempts_left(conn, run_now(conn, run.id)), "one of two is lost"
    last = claimed(conn, run)
    with conn.transaction():
        assert requeue(conn, last, AT_ONCE, code="executor_unreachable", message="No answer.")
    assert (run_now(conn, run.id).status, run_now(conn, run.id).attempt) == ("failed", 5)


def test_a_claim_that_stands_no_more_holds_nothing(conn: Conn, actor: Actor) -> None:
    run = claimed(conn, started(conn, actor))
    assert not held(conn, replace(run, claim=run.claim - 1))
    assert run_now(conn, run.id).status == "starting"


def test_a_run_that_another_goes_before_is_retried(conn: Conn, actor: Actor) -> None:
    run = claimed(conn, started(conn, actor, max_attempts=2))
    first = started(conn, actor, session_id=run.session_id)
    with conn.transaction():
        hold_session(conn, run.session_id)
        edit_queued(conn, actor, first.id, QueueEdit(revision=1, place=QueuePosition("first")))
        conn.execute("UPDATE runs SET position = %s WHERE id = %s", (run.position - 1, first.id))
    assert held(conn, run)
    after = run_now(conn, run.id)
    assert (after.status, after.held_by, log_of(conn, run.id)[-1].type) == ("queued", None, "run.retrying")


def test_a_run_whose_conversation_is_unknown_fails_after_its_prompt_was_delivered(conn: Conn, actor: Actor) -> None:
    run = claimed(conn, started(conn, actor, max_attempts=2))
    conn.execute("UPDATE runs SET prompt_delivered = true WHERE id = %s", (run.id,))
    assert held(conn, run)
    assert run_now(conn, run.id).status == "failed"


def test_a_run_that_waits_for_a_part_goes_on_when_that_part_is_back(conn: Conn, actor: Actor) -> None:
    run = started(conn, actor)
    assert held(conn, claimed(conn, run), "store")
    steps: list[tuple[list[NeededPart], int]] = [(["store"], 0), (["store", "host"], 0), (["host"], 1)]
    for away, expected in steps:
        with conn.transaction():
            start_missed_throttled(conn, NO_LIMITS, away=away)
        assert jobs(conn, "execute_run", run.id) == expected, away

"""A run that nobody answers in time is parked: what that leaves open, and how it comes back or ends."""

from __future__ import annotations

from uuid import uuid4

import pytest

from handlers.access.permissions import Actor
from handlers.human_loop.pending import pending
from handlers.human_loop.reply import begin_delivery, void_answer
from handlers.runs.reconcile import ExecutorFacts, ReconcileLimits, carry_out, decide, overdue_runs
from handlers.runs.stop import stop_run
from handlers.runs.why import explain_run_of
from schema.human_policy import HumanPolicy
from schema.sql import Conn
from tests.integration.handlers.conftest import (
    NO_DELAY,
    STOP,
    StartOne,
    call_back,
    claim,
    event,
    finished,
    jobs,
    run_now,
    started,
)
from tests.integration.handlers.human_loop.test_expiry import WaitWith, expire_all, request_now, rest, told, waits
from tests.integration.handlers.human_loop.test_human_loop import asked, give

pytestmark = pytest.mark.both_postgres
AT_ONCE = 1e-6
__all__ = ["waits"]


def test_parking_leaves_the_question_open_and_ends_the_agent(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="park")
    assert expire_all(conn) == ["parked"]
    assert expire_all(conn) == []
    assert run_now(conn, run.id).status == "parked"
    assert [request.id for request in pending(conn, actor, session_id=None)] == [request_id]
    assert [entry["status"] for entry in told(conn, run, "run.parked")] == ["parked"]
    assert jobs(conn, "park_run", run.id) == 1


def test_a_run_that_could_not_come_back_is_not_parked_and_says_so(conn: Conn, waits: WaitWith) -> None:
    run, request_id = waits(conversation=None, on_expiry="park")
    assert request_now(conn, request_id).on_expiry == "wait"
    assert [warning["code"] for warning in told(conn, run, "run.warning")] == ["park_unsupported"]
    assert told(conn, run, "human_loop.requested")[0]["onExpiry"] == "wait"


def test_an_answer_brings_a_parked_run_back_with_it(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="park")
    expire_all(conn)
    rest(conn, run)
    give(conn, actor, request_id, decision="allow")
    assert run_now(conn, run.id).status == "queued"
    assert [entry["status"] for entry in told(conn, run, "run.resumed")] == ["queued"]
    assert jobs(conn, "execute_run", run.id) == 2
    again = claim(conn, run.id)
    assert again is not None
    assert again.resume is not None
    assert again.resume.continuing
    [carried] = again.answers
    assert (carried.request_id, carried.answer.decision) == (request_id, "allow")
    assert begin_delivery(conn, request_id) is None


def test_why_tells_an_answer_on_its_way_from_an_agent_at_work(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="wait")
    assert explain_run_of(conn, run.id).reason == "The agent waits for an answer."
    give(conn, actor, request_id, decision="allow")
    why = explain_run_of(conn, run.id)
    assert (run_now(conn, run.id).status, why.reason) == ("running", "The answer is on its way to the agent.")
    assert (why.next_job, why.blocked_by[0].split(":")[0]) == ("deliver_answer", f"request {request_id}")


def test_why_tells_an_answered_run_whose_agent_still_ends(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="park")
    expire_all(conn)
    assert "The run is parked" in explain_run_of(conn, run.id).reason
    give(conn, actor, request_id, decision="allow")
    why = explain_run_of(conn, run.id)
    assert (why.reason, why.next_job) == (
        "All questions are answered. The run goes on as soon as the agent that asked has ended.",
        "park_run",
    )


def test_why_tells_beforehand_that_a_restart_ends_a_run(conn: Conn, waits: WaitWith) -> None:
    run, _ = waits(conversation=None, on_expiry="park")
    assert "a restart of its session worker ends the run" in explain_run_of(conn, run.id).reason


def test_a_run_that_is_not_at_rest_comes_back_when_it_is(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="park")
    expire_all(conn)
    give(conn, actor, request_id, decision="allow")
    assert run_now(conn, run.id).status == "parked"
    rest(conn, run)
    assert run_now(conn, run.id).status == "queued"


def test_the_rest_of_an_older_attempt_tells_nothing_of_the_present_one(
    conn: Conn, actor: Actor, waits: WaitWith
) -> None:
    older, request_id = waits(on_expiry="park")
    expire_all(conn)
    rest(conn, older)
    give(conn, actor, request_id, decision="allow")
    again = claim(conn, older.id)
    assert again is not None
    call_back(conn, again.run, started(), asked(2, uuid4()))
    expire_all(conn)
    rest(conn, older)
    assert run_now(conn, older.id).lease_expires_at is not None
    rest(conn, again.run)
    assert run_now(conn, older.id).lease_expires_at is None


def test_it_comes_back_only_when_nobody_is_asked_any_more(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    run, first = waits(on_expiry="park")
    second = uuid4()
    call_back(conn, run, asked(3, second))
    expire_all(conn)
    rest(conn, run)
    give(conn, actor, first, decision="deny", reason="not that")
    assert run_now(conn, run.id).status == "parked"
    give(conn, actor, second, decision="allow")
    again = claim(conn, run.id)
    assert again is not None
    assert {carried.request_id: carried.answer.reason for carried in again.answers} == {first: "not that", second: None}


def test_coming_back_uses_up_no_attempt(conn: Conn, actor: Actor, start: StartOne) -> None:
    policy = HumanPolicy(on_expiry="park", expiry_seconds=AT_ONCE)
    run = start(human_loop=policy, max_attempts=2).run
    for _ in range(3):
        taken = claim(conn, run.id)
        assert taken is not None
        request_id = uuid4()
        call_back(conn, taken.run, started(), asked(2, request_id))
        expire_all(conn)
        rest(conn, taken.run)
        give(conn, actor, request_id, decision="allow")
    for status in ("queued", "failed"):
        taken = claim(conn, run.id)
        assert taken is not None
        call_back(conn, taken.run, started(), event(2, "run.warning", {"code": "agent_lost", "message": "gone"}))
        assert run_now(conn, run.id).status == status


def test_what_was_not_told_when_the_run_was_parked_is_carried_on(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    """One question was answered, and its answer on its way, when the other ran out."""
    run, first = waits(on_expiry="park")
    second = uuid4()
    call_back(conn, run, asked(3, second))
    give(conn, actor, first, decision="allow")
    assert begin_delivery(conn, first) is not None
    expire_all(conn)
    with conn.transaction():
        void_answer(conn, first, told="nothing: refused by the executor, which parks the run")
    rest(conn, run)
    give(conn, actor, second, decision="allow")
    again = claim(conn, run.id)
    assert again is not None
    assert {carried.request_id for carried in again.answers} == {first, second}


def test_stopping_a_parked_run_needs_no_executor(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="park")
    expire_all(conn)
    rest(conn, run)
    with conn.transaction():
        assert stop_run(conn, actor, run.id, policy=STOP).status == "cancelled"
    assert request_now(conn, request_id).status == "cancelled"
    assert jobs(conn, "stop_run", run.id) == 0


def test_stopping_a_run_whose_agent_is_still_ending_asks_its_executor(
    conn: Conn, actor: Actor, waits: WaitWith
) -> None:
    run, _ = waits(on_expiry="park")
    expire_all(conn)
    with conn.transaction():
        assert stop_run(conn, actor, run.id, policy=STOP).status == "cancelling"
    assert jobs(conn, "stop_run", run.id) == 1


def test_the_answer_to_cancel_ends_a_parked_run(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="park")
    expire_all(conn)
    rest(conn, run)
    give(conn, actor, request_id, decision="cancel")
    assert run_now(conn, run.id).status == "cancelled"


def test_a_time_out_may_answer_a_parked_run(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    """It was escalated after it was parked for another question."""
    run, first = waits(on_expiry="escalate", escalate_to="role:operator", then="park")
    expire_all(conn)
    second = uuid4()
    conn.execute("""UPDATE runs SET human_loop = '{"onExpiry": "deny", "expirySeconds": 1e-6}'""")
    call_back(conn, run, asked(3, second))
    conn.execute("UPDATE human_requests SET expires_at = now() - interval '1 hour' WHERE id = %s", (first,))
    assert expire_all(conn) == ["parked", "denied"]
    rest(conn, run)
    give(conn, actor, first, decision="allow")
    again = claim(conn, run.id)
    assert again is not None
    assert {carried.answer.by for carried in again.answers} == {"timeout", "person"}


def test_a_turn_that_ends_while_it_is_parked_has_ended(conn: Conn, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="park")
    expire_all(conn)
    call_back(conn, run, finished(3))
    assert run_now(conn, run.id).status == "succeeded"
    assert request_now(conn, request_id).status == "cancelled"


def test_an_agent_that_is_lost_while_it_is_parked_is_no_loss(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="park")
    expire_all(conn)
    call_back(conn, run, event(3, "run.warning", {"code": "agent_lost", "message": "gone", "taken": []}))
    assert run_now(conn, run.id).status == "parked"
    assert request_now(conn, request_id).status == "open"
    rest(conn, run)
    give(conn, actor, request_id, decision="allow")
    assert run_now(conn, run.id).status == "queued"


def test_a_parked_run_whose_agent_was_not_put_to_rest_is_seen_to_again(conn: Conn, waits: WaitWith) -> None:
    limits = ReconcileLimits(lease_seconds=60, undispatched_seconds=0)
    run, _ = waits(on_expiry="park")
    expire_all(conn)
    [seen] = overdue_runs(conn, limits)
    decision = decide(seen, ExecutorFacts(reachable=False), well_for_seconds=None, limits=limits)
    with conn.transaction():
        assert carry_out(conn, seen, decision, limits=limits, policy=NO_DELAY)
    assert jobs(conn, "park_run", run.id) == 2
    rest(conn, run)
    assert overdue_runs(conn, limits) == []

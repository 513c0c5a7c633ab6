"""When nobody answers in time: denied in nobody's name, escalated, or parked; and what became of it is told."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from handlers.access import Actor
from handlers.expiry import expire, expired_requests
from handlers.human_loop import begin_delivery, void_answer
from handlers.parking import at_rest
from handlers.pending import pending
from handlers.reconcile import ExecutorFacts, ReconcileLimits, carry_out, decide, overdue_runs
from handlers.stop_run import stop_run
from schema.errors import AlreadyAnswered, Invalid
from schema.human_policy import HumanPolicy
from schema.rows import HumanRequestRow, RunRow
from schema.sql import Conn, fetch_the
from tests.integration.handlers.conftest import (
    NO_DELAY,
    STOP,
    StartOne,
    call_back,
    claim,
    event,
    finished,
    jobs,
    log_of,
    run_now,
    started,
)
from tests.integration.handlers.test_human_loop import asked, give

pytestmark = pytest.mark.both_postgres
AT_ONCE = 1e-6
Waiting = tuple[RunRow, UUID]
WaitWith = Callable[..., Waiting]


@pytest.fixture
def waits(conn: Conn, start: StartOne) -> WaitWith:
    """A run that waits for an answer, by a policy."""

    def wait(conversation: str | None = "conversation-1", **policy: object) -> Waiting:
        told = HumanPolicy.model_validate({"expiry_seconds": AT_ONCE, "escalation_seconds": AT_ONCE, **policy})
        taken = claim(conn, start(human_loop=told).run.id)
        assert taken is not None
        request_id = uuid4()
        call_back(conn, taken.run, started(conversation=conversation), asked(2, request_id))
        return taken.run, request_id

    return wait


def expire_all(conn: Conn) -> list[str | None]:
    done: list[str | None] = []
    for request_id in expired_requests(conn):
        with conn.transaction():
            done.append(expire(conn, request_id))
    return done


def request_now(conn: Conn, request_id: UUID) -> HumanRequestRow:
    return fetch_the(conn, "human_request", HumanRequestRow, request_id=request_id)


def told(conn: Conn, run: RunRow, type_: str) -> list[dict[str, object]]:
    return [entry.data for entry in log_of(conn, run.id) if entry.type == type_]


def rest(conn: Conn, run: RunRow) -> None:
    with conn.transaction():
        at_rest(conn, run.id, attempt=run.attempt, heard_all=True)


def test_a_question_tells_until_when_it_waits_and_what_comes_then(conn: Conn, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="deny", expiry_seconds=60)
    [question] = told(conn, run, "human_loop.requested")
    expires_at = request_now(conn, request_id).expires_at
    assert expires_at is not None
    assert (question["onExpiry"], question["expiresAt"]) == ("deny", expires_at.isoformat())
    assert expire_all(conn) == []


def test_without_a_policy_it_waits_for_ever(conn: Conn, waits: WaitWith) -> None:
    _, request_id = waits()
    assert request_now(conn, request_id).expires_at is None
    assert expire_all(conn) == []


def test_a_denial_by_time_out_is_nobodys_no(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="deny")
    assert expire_all(conn) == ["denied"]
    assert expire_all(conn) == []
    [resolved] = [entry for entry in log_of(conn, run.id) if entry.type == "human_loop.resolved"]
    assert (resolved.author, resolved.data["by"], resolved.data["decision"]) == ("system", "timeout", "deny")
    assert run_now(conn, run.id).status == "running"
    request = request_now(conn, request_id)
    assert (request.status, request.decided_by) == ("expired", "timeout")
    with pytest.raises(AlreadyAnswered) as refused:
        give(conn, actor, request_id, decision="allow")
    assert refused.value.members["requestStatus"] == "expired"


def test_a_denial_by_time_out_is_delivered_once_and_stays_expired(conn: Conn, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="deny")
    expire_all(conn)
    delivery = begin_delivery(conn, request_id)
    assert delivery is not None
    assert (delivery.answer.decision, delivery.answer.by) == ("deny", "timeout")
    assert request_now(conn, request_id).status == "expired"
    applied = {"requestId": str(request_id), "outcome": "applied", "told": "Reject (no)"}
    call_back(conn, run, event(3, "human_loop.applied", applied))
    assert begin_delivery(conn, request_id) is None
    request = request_now(conn, request_id)
    assert (request.status, request.outcome_told) == ("expired", "Reject (no)")


def test_an_escalated_request_is_open_for_longer_and_says_to_whom(conn: Conn, waits: WaitWith) -> None:
    policy = {"on_expiry": "escalate", "escalate_to": "role:operator", "then": "deny"}
    run, request_id = waits(**policy, escalation_seconds=60)
    assert expire_all(conn) == ["escalated"]
    [escalated] = told(conn, run, "human_loop.escalated")
    assert (escalated["to"], escalated["by"], escalated["onExpiry"]) == ("role:operator", "timeout", "deny")
    request = request_now(conn, request_id)
    assert (request.status, request.on_expiry, request.escalated_at is not None) == ("open", "deny", True)
    assert run_now(conn, run.id).status == "waiting"
    assert expire_all(conn) == []


def test_a_denial_by_time_out_that_was_told_is_told_to_no_later_attempt(conn: Conn, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="deny")
    expire_all(conn)
    with conn.transaction():
        assert begin_delivery(conn, request_id) is not None
    applied = {"requestId": str(request_id), "outcome": "applied", "told": "no"}
    call_back(conn, run, event(3, "human_loop.applied", applied))
    with pytest.raises(Invalid, match="no such request"):
        call_back(conn, run, event(4, "human_loop.applied", applied))
    call_back(conn, run, event(4, "run.warning", {"code": "agent_lost", "message": "It was restarted."}))
    again = claim(conn, run.id)
    assert again is not None
    assert again.answers == []


def test_two_who_see_the_same_request_expired_escalate_it_once(conn: Conn, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="escalate", escalate_to="role:operator", escalation_seconds=60, then="deny")
    for done in ("escalated", None):
        with conn.transaction():
            assert expire(conn, request_id) == done
    assert len(told(conn, run, "human_loop.escalated")) == 1
    assert request_now(conn, request_id).status == "open"


def test_whom_it_is_escalated_to_may_stay_away_too(conn: Conn, waits: WaitWith) -> None:
    waits(on_expiry="escalate", escalate_to="role:operator", then="deny")
    assert [*expire_all(conn), *expire_all(conn), *expire_all(conn)] == ["escalated", "denied"]


def test_somebody_must_be_there_to_escalate_to(start: StartOne) -> None:
    with pytest.raises(Invalid):
        start(human_loop=HumanPolicy(on_expiry="escalate", escalate_to=f"user:{uuid4()}"))


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

"""A run's way through its states: who may take it, what ends it, what sends it back."""

from __future__ import annotations

import psycopg
import pytest

from handlers.access.permissions import Actor
from handlers.runs.claim import abandon, record_dispatched, refuse, renew_claim, requeue
from handlers.runs.settle import RetryPolicy
from handlers.runs.stop import stop_run
from schema.errors import CapabilityMissing, EventGap, EventNumberConflict, Invalid, SessionBusy, StaleAttempt
from schema.events import SourceEvent
from schema.options import RunOptions
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
    log_of,
    run_now,
    started,
)

pytestmark = pytest.mark.both_postgres


def test_a_started_run_is_queued_with_its_job(conn: Conn, start: StartOne) -> None:
    run = start().run
    assert (run.status, jobs(conn, "execute_run", run.id)) == ("queued", 1)
    assert [entry.type for entry in log_of(conn, run.id)] == ["run.queued"]


def test_a_refused_start_leaves_nothing(conn: Conn, start: StartOne) -> None:
    with pytest.raises(CapabilityMissing):
        start(provider="plain", options=RunOptions(model="large"))
    assert conn.execute("SELECT count(*) FROM sessions").fetchone() == (0,)


def test_a_run_that_needs_a_person_is_blocked_where_nobody_can_be_asked(conn: Conn, start: StartOne) -> None:
    run = start(provider="plain", options=RunOptions(require_human_loop=True)).run
    assert (run.status, run.reason_code) == ("blocked", "capability_missing")
    assert log_of(conn, run.id)[-1].type == "run.finished"
    assert jobs(conn, "execute_run", run.id) == 0


def test_only_the_head_of_a_queue_has_a_job_and_can_be_claimed(conn: Conn, start: StartOne) -> None:
    first = start().run
    second = start(session_id=first.session_id)
    assert (second.queue_position, jobs(conn, "execute_run", second.run.id)) == (1, 0)
    assert claim(conn, second.run.id) is None
    assert claim(conn, first.id) is not None
    assert claim(conn, first.id) is None


def test_the_end_of_a_run_sends_the_next_one_on_its_way(conn: Conn, start: StartOne) -> None:
    first = start().run
    second = start(session_id=first.session_id).run
    taken = claim(conn, first.id)
    assert taken is not None
    call_back(conn, taken.run, started(), finished(2))
    assert run_now(conn, first.id).status == "succeeded"
    assert jobs(conn, "execute_run", second.id) == 1


def test_reject_refuses_a_busy_session(start: StartOne) -> None:
    first = start().run
    with pytest.raises(SessionBusy):
        start(session_id=first.session_id, multitask="reject")


def test_interrupt_stops_the_live_run_and_goes_before_the_queue(conn: Conn, start: StartOne) -> None:
    live = start().run
    waiting = start(session_id=live.session_id).run
    taken = claim(conn, live.id)
    assert taken is not None
    urgent = start(session_id=live.session_id, multitask="interrupt").run
    assert run_now(conn, live.id).status == "cancelling"
    call_back(conn, taken.run, finished(1))
    assert run_now(conn, live.id).status == "cancelled"
    assert (jobs(conn, "execute_run", urgent.id), jobs(conn, "execute_run", waiting.id)) == (1, 0)


def test_events_are_stored_once_and_in_order(conn: Conn, start: StartOne) -> None:
    taken = claim(conn, start().run.id)
    assert taken is not None
    delta = event(2, "message.delta", {"text": "a"})
    begun = started()
    assert call_back(conn, taken.run, begun, delta).accepted == 2
    again = call_back(conn, taken.run, begun, delta, event(3, "message.delta"))
    assert (again.accepted, again.duplicates) == (1, 2)
    log = log_of(conn, taken.run.id)
    assert [entry.seq for entry in log] == list(range(1, len(log) + 1))


def test_a_hole_is_refused_with_the_number_expected(conn: Conn, start: StartOne) -> None:
    taken = claim(conn, start().run.id)
    assert taken is not None
    call_back(conn, taken.run, started())
    with pytest.raises(EventGap) as refusal:
        call_back(conn, taken.run, event(3, "message.delta"))
    assert refusal.value.members == {"expected": 2}


def test_a_number_with_another_id_is_refused(conn: Conn, start: StartOne) -> None:
    taken = claim(conn, start().run.id)
    assert taken is not None
    call_back(conn, taken.run, started())
    with pytest.raises(EventNumberConflict):
        call_back(conn, taken.run, started())


def test_an_executor_cannot_author_a_decision(conn: Conn, start: StartOne) -> None:
    taken = claim(conn, start().run.id)
    assert taken is not None
    with pytest.raises(Invalid):
        call_back(conn, taken.run, started(), event(2, "human_loop.resolved"))
    assert run_now(conn, taken.run.id).status == "starting"


def test_what_comes_after_the_end_is_late_and_changes_nothing(conn: Conn, start: StartOne) -> None:
    taken = claim(conn, start().run.id)
    assert taken is not None
    call_back(conn, taken.run, started(), finished(2), event(3, "message.delta"))
    call_back(conn, taken.run, finished(4, "failed"))
    assert run_now(conn, taken.run.id).status == "succeeded"
    assert [entry.late for entry in log_of(conn, taken.run.id)][-2:] == [True, True]


def test_before_its_prompt_was_delivered_a_lost_run_starts_again(conn: Conn, start: StartOne) -> None:
    taken = claim(conn, start().run.id)
    assert taken is not None
    with conn.transaction():
        assert requeue(conn, taken.run, NO_DELAY, code="executor_unreachable", message="Nobody answered.")
    again = claim(conn, taken.run.id)
    assert again is not None
    assert (again.run.attempt, again.run.claim, again.resume) == (2, 2, None)


def test_a_lost_run_is_not_taken_before_its_pause_is_over(conn: Conn, start: StartOne) -> None:
    taken = claim(conn, start().run.id)
    assert taken is not None
    with conn.transaction():
        assert requeue(conn, taken.run, RetryPolicy(60), code="executor_unreachable", message="Nobody answered.")
    assert claim(conn, taken.run.id) is None
    conn.execute("UPDATE runs SET next_attempt_at = next_attempt_at - interval '61 s'")
    assert claim(conn, taken.run.id) is not None


def test_what_an_older_claim_says_changes_nothing(conn: Conn, start: StartOne) -> None:
    older = claim(conn, start().run.id)
    assert older is not None
    with conn.transaction():
        assert requeue(conn, older.run, NO_DELAY, code="executor_unreachable", message="Nobody answered.")
    taken = claim(conn, older.run.id)
    assert taken is not None
    with conn.transaction():
        assert not renew_claim(conn, older.run, lock_seconds=3600)
        assert record_dispatched(conn, older.run, lease_seconds=60) == "superseded"
        assert not requeue(conn, older.run, NO_DELAY, code="late", message="Too late.")
        assert not refuse(conn, older.run, code="late", message="Too late.")
        assert not abandon(conn, older.run, code="late", message="Too late.")
    assert run_now(conn, taken.run.id) == taken.run


def test_a_lost_run_keeps_its_turn(conn: Conn, start: StartOne) -> None:
    first = start().run
    taken = claim(conn, first.id)
    assert taken is not None
    second = start(session_id=first.session_id)
    assert second.queue_position == 1
    with conn.transaction():
        requeue(conn, taken.run, NO_DELAY, code="executor_unreachable", message="Nobody answered.")
    assert claim(conn, second.run.id) is None
    assert claim(conn, first.id) is not None


def test_after_its_prompt_was_delivered_a_lost_run_goes_on_in_its_conversation(conn: Conn, start: StartOne) -> None:
    taken = claim(conn, start().run.id)
    assert taken is not None
    call_back(conn, taken.run, started(), event(2, "run.warning", {"code": "agent_lost", "message": "gone"}))
    again = claim(conn, taken.run.id)
    assert again is not None
    assert again.resume is not None
    assert (again.resume.agent_session_id, again.resume.continuing) == ("conversation-1", True)


def test_a_delivered_prompt_without_a_conversation_is_never_sent_again(conn: Conn, start: StartOne) -> None:
    taken = claim(conn, start().run.id)
    assert taken is not None
    call_back(conn, taken.run, started(conversation=None), event(2, "run.warning", {"code": "agent_lost"}))
    run = run_now(conn, taken.run.id)
    assert (run.status, run.reason_code) == ("failed", "agent_lost")


def lost(n: int, *, delivered: bool) -> SourceEvent:
    return event(n, "run.warning", {"code": "agent_lost", "promptDelivered": delivered})


def test_a_prompt_that_was_certainly_not_handed_over_is_sent_by_the_next_attempt(conn: Conn, start: StartOne) -> None:
    taken = claim(conn, start().run.id)
    assert taken is not None
    call_back(conn, taken.run, started(), lost(2, delivered=False))
    again = claim(conn, taken.run.id)
    assert again is not None
    assert (again.run.attempt, again.run.prompt_delivered, again.resume) == (2, False, None)


def test_a_prompt_that_an_earlier_attempt_handed_over_is_not_sent_again(conn: Conn, start: StartOne) -> None:
    run_id = start().run.id
    for delivered in (True, False):
        taken = claim(conn, run_id)
        assert taken is not None
        call_back(conn, taken.run, started(), lost(2, delivered=delivered))
    third = claim(conn, run_id)
    assert third is not None
    assert third.resume is not None
    assert (third.run.attempt, third.resume.continuing) == (3, True)


def test_the_conversation_of_the_run_before_is_kept_when_the_next_one_was_lost_too_early(
    conn: Conn, start: StartOne
) -> None:
    first = claim(conn, start().run.id)
    assert first is not None
    call_back(conn, first.run, started(), finished(2))
    second = claim(conn, start(session_id=first.run.session_id).run.id)
    assert second is not None
    call_back(conn, second.run, started(), lost(2, delivered=False))
    again = claim(conn, second.run.id)
    assert again is not None
    assert again.resume is not None
    assert again.resume.continuing is False


def test_the_last_attempt_fails_with_its_reason(conn: Conn, start: StartOne) -> None:
    taken = claim(conn, start(max_attempts=1).run.id)
    assert taken is not None
    with conn.transaction():
        requeue(conn, taken.run, NO_DELAY, code="executor_unreachable", message="Nobody answered.")
    run = run_now(conn, taken.run.id)
    assert (run.status, run.reason_code) == ("failed", "executor_unreachable")


def test_an_attempt_that_was_replaced_is_refused(conn: Conn, start: StartOne) -> None:
    taken = claim(conn, start().run.id)
    assert taken is not None
    with conn.transaction():
        requeue(conn, taken.run, NO_DELAY, code="executor_unreachable", message="Nobody answered.")
    with pytest.raises(StaleAttempt):
        call_back(conn, taken.run, started())
    claim(conn, taken.run.id)
    with pytest.raises(StaleAttempt):
        call_back(conn, taken.run, started())


def test_the_next_run_of_a_session_resumes_its_conversation(conn: Conn, start: StartOne) -> None:
    first = claim(conn, start().run.id)
    assert first is not None
    call_back(conn, first.run, started(), finished(2))
    second = claim(conn, start(session_id=first.run.session_id).run.id)
    fresh = start(session_id=first.run.session_id, options=RunOptions(resume=False)).run
    assert second is not None
    assert second.resume is not None
    assert second.resume.continuing is False
    call_back(conn, second.run, started(), finished(2))
    third = claim(conn, fresh.id)
    assert third is not None
    assert third.resume is None


def test_a_queued_run_is_stopped_at_once(conn: Conn, actor: Actor, start: StartOne) -> None:
    run = start().run
    with conn.transaction():
        assert stop_run(conn, actor, run.id, policy=STOP).status == "cancelled"
    assert claim(conn, run.id) is None


def test_a_stop_fences_the_job_that_was_starting_the_run(conn: Conn, actor: Actor, start: StartOne) -> None:
    taken = claim(conn, start().run.id)
    assert taken is not None
    with conn.transaction():
        assert stop_run(conn, actor, taken.run.id, policy=STOP).status == "cancelling"
    with conn.transaction():
        assert record_dispatched(conn, taken.run, lease_seconds=60) == "superseded"
    assert jobs(conn, "stop_run", taken.run.id) == 1


def test_a_stopped_run_ends_as_cancelled_whatever_its_agent_says(conn: Conn, actor: Actor, start: StartOne) -> None:
    taken = claim(conn, start().run.id)
    assert taken is not None
    call_back(conn, taken.run, started())
    with conn.transaction():
        stop_run(conn, actor, taken.run.id, policy=STOP)
    assert call_back(conn, taken.run).stop_requested
    call_back(conn, taken.run, finished(2))
    assert run_now(conn, taken.run.id).status == "cancelled"
    assert log_of(conn, taken.run.id)[-1].data["status"] == "cancelled"


@pytest.mark.parametrize("status", ["succeeded", "running", "parked"])
def test_no_writer_can_take_a_way_that_is_not_in_the_table(conn: Conn, start: StartOne, status: str) -> None:
    run = start().run
    with pytest.raises(psycopg.errors.CheckViolation):
        conn.execute("UPDATE runs SET status = %s, claim = 1 WHERE id = %s", (status, run.id))


def test_a_session_never_has_two_live_runs(conn: Conn, start: StartOne) -> None:
    first = start().run
    second = start(session_id=first.session_id).run
    assert claim(conn, first.id) is not None
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("UPDATE runs SET status = 'starting', claim = 1 WHERE id = %s", (second.id,))

"""A run that waits for people loses its agent: its questions stay, and an answer brings it back without a retry."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from handlers.access.permissions import Actor
from handlers.human_loop.pending import pending
from handlers.runs.settle import has_attempts_left
from schema.rows import RunRow
from schema.sql import Conn
from tests.integration.handlers.conftest import (
    call_back,
    claim,
    event,
    run_now,
    started,
)
from tests.integration.handlers.human_loop.test_expiry import WaitWith, request_now, rest, told, waits
from tests.integration.handlers.human_loop.test_human_loop import asked, give

pytestmark = pytest.mark.both_postgres
__all__ = ["waits"]


def lost(conn: Conn, run: RunRow, n: int, *, taken: list[str] | None = None) -> None:
    """Its executor was restarted and says so."""
    data = {"code": "agent_lost", "message": "It is gone.", "promptDelivered": True, "taken": taken or []}
    call_back(conn, run, event(n, "run.warning", data))


def test_a_run_that_waits_when_its_agent_is_lost_is_parked_and_asks_nothing_anew(
    conn: Conn, actor: Actor, waits: WaitWith
) -> None:
    run, request_id = waits()
    lost(conn, run, 3)
    parked = run_now(conn, run.id)
    assert (parked.status, parked.attempt) == ("parked", run.attempt)
    assert [request.id for request in pending(conn, actor, session_id=None)] == [request_id]
    assert told(conn, run, "human_loop.resolved") == []
    assert told(conn, run, "run.retrying") == []


def test_an_answer_to_it_begins_one_attempt_that_is_no_retry(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    run, request_id = waits()
    lost(conn, run, 3)
    rest(conn, run)
    give(conn, actor, request_id, decision="allow")
    again = claim(conn, run.id)
    assert again is not None
    assert (again.run.attempt, [answer.request_id for answer in again.answers]) == (run.attempt + 1, [request_id])
    assert has_attempts_left(conn, replace(again.run, max_attempts=2))


def test_several_open_questions_all_stay(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    run, first = waits()
    second = uuid4()
    call_back(conn, run, asked(3, second))
    lost(conn, run, 4)
    rest(conn, run)
    give(conn, actor, first, decision="allow")
    assert run_now(conn, run.id).status == "parked"
    give(conn, actor, second, decision="deny")
    again = claim(conn, run.id)
    assert again is not None
    assert {answer.request_id for answer in again.answers} == {first, second}


def test_an_agent_that_crashes_while_it_waits_loses_no_question(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    run, request_id = waits()
    crash = {"status": "failed", "reason": {"code": "agent_crashed", "message": "It ended with signal 9."}}
    call_back(conn, run, event(3, "run.finished", crash))
    assert run_now(conn, run.id).status == "parked"
    assert [warning["code"] for warning in told(conn, run, "run.warning")] == ["agent_crashed"]
    assert [request.id for request in pending(conn, actor, session_id=None)] == [request_id]


def test_a_run_whose_conversation_cannot_be_resumed_fails_with_its_agent(conn: Conn, waits: WaitWith) -> None:
    run, request_id = waits(conversation=None)
    lost(conn, run, 3)
    assert (run_now(conn, run.id).status, request_now(conn, request_id).status) == ("failed", "cancelled")


def test_calls_that_were_cut_off_are_named_to_the_person_and_the_next_agent(
    conn: Conn, actor: Actor, waits: WaitWith
) -> None:
    run, request_id = waits()
    call = {"toolCallId": "c9", "title": "npm install", "kind": "execute", "status": "in_progress"}
    done = {"toolCallId": "c8", "title": "ls", "kind": "execute", "status": "completed"}
    call_back(conn, run, event(3, "tool.call", call), event(4, "tool.call", done))
    lost(conn, run, 5)
    [cut_off] = [warning for warning in told(conn, run, "run.warning") if warning["code"] == "calls_cut_off"]
    assert '"npm install"' in str(cut_off["message"])
    assert '"ls"' not in str(cut_off["message"])
    rest(conn, run)
    give(conn, actor, request_id, decision="allow")
    again = claim(conn, run.id)
    assert again is not None
    assert again.cut_off == ["npm install"]


def test_a_question_in_place_of_an_answered_one_names_it(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    run, request_id = waits()
    lost(conn, run, 3)
    rest(conn, run)
    give(conn, actor, request_id, decision="allow")
    again = claim(conn, run.id)
    assert again is not None
    other = uuid4()
    call_back(conn, again.run, started())
    call_back(conn, again.run, asked(2, other))
    assert told(conn, run, "human_loop.requested")[-1]["replaces"] == str(request_id)
    assert request_now(conn, other).replaces == request_id


def test_an_answer_in_the_moment_of_the_restart_uses_no_attempt(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    run, request_id = waits()
    give(conn, actor, request_id, decision="allow")
    lost(conn, run, 3)
    assert run_now(conn, run.id).status == "parked"
    rest(conn, run)
    assert told(conn, run, "run.retrying") == []
    again = claim(conn, run.id)
    assert again is not None
    assert [answer.request_id for answer in again.answers] == [request_id]


def test_an_answer_that_the_agent_may_have_heard_is_void_and_the_run_is_retried(
    conn: Conn, actor: Actor, waits: WaitWith
) -> None:
    run, request_id = waits()
    give(conn, actor, request_id, decision="allow")
    lost(conn, run, 3, taken=[str(request_id)])
    assert request_now(conn, request_id).status == "void"
    assert len(told(conn, run, "run.retrying")) == 1

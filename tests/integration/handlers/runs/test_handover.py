"""What a run's agent is told of the runs that it was not there for, and when."""

from __future__ import annotations

import tracemalloc
from uuid import UUID

import pytest

from handlers.providers.registry import announce_providers
from handlers.runs.claim import Claimed, requeue
from handlers.runs.handover import hand_over
from schema.executor_api import Handover
from schema.options import RunOptions
from schema.rows import RunRow
from schema.sql import Conn
from tests.integration.handlers.conftest import (
    ABLE,
    NO_DELAY,
    PLAIN,
    StartOne,
    call_back,
    claim,
    event,
    finished,
    started,
)

pytestmark = pytest.mark.both_postgres
HUGE = "x" * 500_000
OTHER = ABLE.model_copy(update={"name": "other", "title": "Other"})


@pytest.fixture
def start(conn: Conn, start: StartOne) -> StartOne:
    announce_providers(conn, [ABLE, OTHER, PLAIN])
    return start


def take(conn: Conn, start: StartOne, prompt: str, **fields: object) -> Claimed:
    taken = claim(conn, start(prompt, **fields).run.id)
    assert taken is not None
    return taken


def do(conn: Conn, start: StartOne, prompt: str, says: str = "Done.", **fields: object) -> RunRow:
    """A run to its end, whose agent thinks, says this and uses a tool."""
    run = take(conn, start, prompt, **fields).run
    delta = {"messageId": "m", "role": "assistant"}
    call_back(
        conn,
        run,
        started(conversation=f"of {run.provider}"),
        event(2, "message.delta", {"messageId": "t", "role": "thought", "text": "I wonder."}),
        event(3, "message.delta", {**delta, "text": says[:2]}),
        event(4, "tool.call", {"toolCallId": "c", "title": "Write made.txt", "status": "pending"}),
        event(5, "message.delta", {**delta, "text": says[2:]}),
        event(6, "tool.update", {"toolCallId": "c", "status": "completed"}),
        finished(7),
    )
    return run


def told(conn: Conn, taken: Claimed, *, max_tokens: int = 8000) -> Handover:
    return hand_over(conn, taken.run, taken.unseen, max_tokens=max_tokens)


def ids(taken: Claimed) -> list[UUID]:
    return [each.id for each in taken.unseen]


def test_another_provider_is_told_what_was_said_and_done_before(conn: Conn, start: StartOne) -> None:
    first = do(conn, start, "Make a file", says="It is made.")
    taken = take(conn, start, "And now?", session_id=first.session_id, provider="other")
    handover = told(conn, taken)
    assert handover.text.splitlines()[1:-1] == [
        *("The user to demo:", "  Make a file", "The agent:", "  It is made."),
        *("The agent used a tool:", "  Write made.txt (completed)", "How it ended: succeeded"),
    ]
    assert (handover.providers, handover.runs, handover.left_out) == (["demo"], 1, 0)


def test_a_provider_that_goes_on_with_its_own_conversation_is_told_nothing(conn: Conn, start: StartOne) -> None:
    first = do(conn, start, "One")
    assert take(conn, start, "Two", session_id=first.session_id).unseen == []


def test_a_first_run_is_told_nothing(conn: Conn, start: StartOne) -> None:
    assert take(conn, start, "One").unseen == []


def test_who_comes_back_is_told_what_came_meanwhile(conn: Conn, start: StartOne) -> None:
    session_id = do(conn, start, "One").session_id
    second = do(conn, start, "Two", provider="other", session_id=session_id)
    third = do(conn, start, "Three", provider="other", session_id=session_id)
    back = take(conn, start, "Four", session_id=session_id)
    assert back.resume is not None
    assert ids(back) == [third.id, second.id]
    assert "One" not in told(conn, back).text


def test_who_begins_anew_is_told_all_of_it(conn: Conn, start: StartOne) -> None:
    """A provider that cannot resume remembers not even its own runs."""
    one = do(conn, start, "One", provider="plain")
    two = do(conn, start, "Two", session_id=one.session_id)
    back = take(conn, start, "Three", session_id=one.session_id, provider="plain")
    assert (back.resume, ids(back)) == (None, [two.id, one.id])
    assert told(conn, back).providers == ["plain", "demo"]


def test_the_same_provider_alone_is_no_handover(conn: Conn, start: StartOne) -> None:
    one = do(conn, start, "One", provider="plain")
    assert take(conn, start, "Two", session_id=one.session_id, provider="plain").unseen == []


def test_a_blank_beginning_that_was_asked_for_is_blank(conn: Conn, start: StartOne) -> None:
    first = do(conn, start, "One")
    blank = {"provider": "other", "options": RunOptions(resume=False)}
    assert take(conn, start, "Two", session_id=first.session_id, **blank).unseen == []


def test_a_run_that_was_never_given_to_an_agent_is_not_told(conn: Conn, start: StartOne) -> None:
    taken = take(conn, start, "Never heard")
    call_back(conn, taken.run, finished(1, "failed"))
    assert take(conn, start, "Two", session_id=taken.run.session_id, provider="other").unseen == []


def test_an_attempt_that_was_lost_before_the_prompt_is_told_again_and_one_after_it_is_not(
    conn: Conn, start: StartOne
) -> None:
    first = do(conn, start, "One")
    taken = take(conn, start, "Two", session_id=first.session_id, provider="other")
    with conn.transaction():
        requeue(conn, taken.run, NO_DELAY, code="executor_unreachable", message="Nobody answered.")
    again = claim(conn, taken.run.id)
    assert again is not None
    assert ids(again) == [first.id]
    lost = {"code": "agent_lost", "message": "Gone.", "promptDelivered": True}
    call_back(conn, again.run, started(), event(2, "run.warning", lost))
    continued = claim(conn, taken.run.id)
    assert continued is not None
    assert continued.resume is not None
    assert continued.unseen == []


def test_todos_that_others_left_open_are_told(conn: Conn, start: StartOne) -> None:
    run = take(conn, start, "Plan").run
    items = [
        {"id": "a", "content": "Look", "status": "completed"},
        {"id": "b", "content": "Tidy up", "status": "in_progress"},
    ]
    call_back(conn, run, started(), event(2, "todo.update", {"groupId": "demo", "items": items}), finished(3))
    text = told(conn, take(conn, start, "Go on", session_id=run.session_id, provider="other")).text
    assert "Still to do for demo (in progress):\n  Tidy up\n" in text
    assert "Look" not in text


def test_of_an_endless_run_only_the_end_is_read_and_told(conn: Conn, start: StartOne) -> None:
    run = take(conn, start, "Write a book").run
    delta = {"messageId": "m", "role": "assistant"}
    chapters = [event(n, "message.delta", {**delta, "text": f"chapter {n} " * 20}) for n in range(2, 900)]
    call_back(conn, run, started(), *chapters, finished(900))
    handover = told(conn, take(conn, start, "Two", session_id=run.session_id, provider="other"), max_tokens=1000)
    assert handover.tokens <= 1000
    assert "chapter 899 \nHow it ended" in handover.text
    assert "The user to demo:\n  Write a book\n(The beginning of this run is left out.)" in handover.text


def test_the_same_log_gives_the_same_text(conn: Conn, start: StartOne) -> None:
    first = do(conn, start, "One")
    taken = take(conn, start, "Two", session_id=first.session_id, provider="other")
    assert told(conn, taken) == told(conn, taken)


def test_of_huge_messages_only_the_ends_are_read(conn: Conn, start: StartOne) -> None:
    run = take(conn, start, "Write a book").run
    delta = {"messageId": "m", "role": "assistant"}
    call_back(conn, run, started(), *(event(n, "message.delta", {**delta, "text": HUGE}) for n in (2, 3, 4)))
    call_back(conn, run, event(5, "message.delta", {**delta, "text": "the end"}), finished(6))
    taken = take(conn, start, "Two", session_id=run.session_id, provider="other")
    tracemalloc.start()
    try:
        handover = told(conn, taken, max_tokens=1000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert handover.text.rstrip().count("xthe end") == 1
    assert peak < len(HUGE)

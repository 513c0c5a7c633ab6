"""Requests and answers: one effect per answer, and the log tells who decided."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from handlers.access.permissions import Actor
from handlers.human_loop.pending import pending
from handlers.human_loop.reply import HumanReply, begin_delivery, reply, void_answer
from schema.errors import AlreadyAnswered, CapabilityMissing, Invalid
from schema.events import SourceEvent
from schema.rows import RunRow
from schema.sql import Conn
from tests.integration.handlers.conftest import (
    STOP,
    StartOne,
    call_back,
    claim,
    event,
    finished,
    log_of,
    run_now,
    started,
)

pytestmark = pytest.mark.both_postgres

OPTIONS = [
    {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
    {"optionId": "no", "name": "Reject", "kind": "reject_once"},
]


def asked(n: int, request_id: UUID) -> SourceEvent:
    data = {"requestId": str(request_id), "kind": "permission", "title": "Write a.txt", "fingerprint": "f" * 64}
    return event(n, "human_loop.requested", {**data, "options": OPTIONS})


@pytest.fixture
def waiting(conn: Conn, start: StartOne) -> tuple[RunRow, UUID]:
    """A run that waits for an answer, and what it waits for."""
    taken = claim(conn, start().run.id)
    assert taken is not None
    request_id = uuid4()
    call_back(conn, taken.run, started(), asked(2, request_id))
    return taken.run, request_id


def give(conn: Conn, actor: Actor, request_id: UUID, **answer: object) -> None:
    with conn.transaction():
        reply(conn, actor, HumanReply(request_id=request_id, **answer), stop_policy=STOP)  # type: ignore[arg-type]


def test_a_request_makes_its_run_wait(conn: Conn, actor: Actor, waiting: tuple[RunRow, UUID]) -> None:
    run, request_id = waiting
    assert run_now(conn, run.id).status == "waiting"
    assert [request.id for request in pending(conn, actor, session_id=run.session_id)] == [request_id]


def test_an_answer_is_stored_with_who_gave_it_and_the_run_goes_on(
    conn: Conn, actor: Actor, waiting: tuple[RunRow, UUID]
) -> None:
    run, request_id = waiting
    give(conn, actor, request_id, decision="allow")
    resolved = next(entry for entry in log_of(conn, run.id) if entry.type == "human_loop.resolved")
    assert (resolved.data["decision"], resolved.data["by"], resolved.author) == ("allow", actor.author, actor.author)
    assert run_now(conn, run.id).status == "running"


def test_an_answer_is_used_once(conn: Conn, actor: Actor, waiting: tuple[RunRow, UUID]) -> None:
    give(conn, actor, waiting[1], decision="deny")
    with pytest.raises(AlreadyAnswered):
        give(conn, actor, waiting[1], decision="allow")


def test_an_answer_is_delivered_until_it_was_applied(conn: Conn, actor: Actor, waiting: tuple[RunRow, UUID]) -> None:
    run, request_id = waiting
    give(conn, actor, request_id, decision="allow", option_id="yes")
    for _ in range(2):
        delivery = begin_delivery(conn, request_id)
        assert delivery is not None
        assert delivery.answer.option_id == "yes"
    applied = {"requestId": str(request_id), "outcome": "applied", "told": "Allow"}
    call_back(conn, run, event(3, "human_loop.applied", applied))
    assert begin_delivery(conn, request_id) is None


def test_cancel_stops_the_run(conn: Conn, actor: Actor, waiting: tuple[RunRow, UUID]) -> None:
    give(conn, actor, waiting[1], decision="cancel")
    assert run_now(conn, waiting[0].id).status == "cancelling"


def test_the_end_of_a_run_closes_what_it_waited_for(conn: Conn, actor: Actor, waiting: tuple[RunRow, UUID]) -> None:
    run, request_id = waiting
    call_back(conn, run, finished(3, "succeeded"))
    assert pending(conn, actor, session_id=run.session_id) == []
    with pytest.raises(AlreadyAnswered):
        give(conn, actor, request_id, decision="allow")


def test_an_answer_for_an_agent_that_is_gone_is_void_and_the_log_says_so(
    conn: Conn, actor: Actor, waiting: tuple[RunRow, UUID]
) -> None:
    run, request_id = waiting
    give(conn, actor, request_id, decision="allow")
    with conn.transaction():
        void_answer(conn, request_id, told="nothing: the agent has ended")
    assert log_of(conn, run.id)[-1].data["outcome"] == "void"


def test_an_agent_may_take_its_question_back(conn: Conn, actor: Actor, waiting: tuple[RunRow, UUID]) -> None:
    run, request_id = waiting
    call_back(conn, run, event(3, "human_loop.applied", {"requestId": str(request_id), "outcome": "void", "told": "-"}))
    assert run_now(conn, run.id).status == "running"
    with pytest.raises(AlreadyAnswered):
        give(conn, actor, request_id, decision="allow")


def test_a_run_cannot_settle_the_request_of_another(conn: Conn, start: StartOne, waiting: tuple[RunRow, UUID]) -> None:
    other = claim(conn, start().run.id)
    assert other is not None
    applied = {"requestId": str(waiting[1]), "outcome": "void", "told": "-"}
    with pytest.raises(Invalid):
        call_back(conn, other.run, started(), event(2, "human_loop.applied", applied))


@pytest.mark.parametrize(
    "answer, refusal",
    [
        ({"decision": "answer", "answers": {}}, Invalid),
        ({"decision": "allow", "option_id": "no"}, Invalid),
        ({"decision": "allow", "option_id": "maybe"}, Invalid),
        ({"decision": "allow_always"}, CapabilityMissing),
        ({"decision": "allow", "arguments": {"path": "b.txt"}}, CapabilityMissing),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_decided(
    conn: Conn, actor: Actor, waiting: tuple[RunRow, UUID], answer: dict[str, object], refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        give(conn, actor, waiting[1], **answer)
    assert run_now(conn, waiting[0].id).status == "waiting"

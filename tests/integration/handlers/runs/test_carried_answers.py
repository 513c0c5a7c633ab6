"""An agent is lost with answers that it was not, or perhaps, told: none is applied twice, none vanishes in silence."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from handlers.access.permissions import Actor
from handlers.human_loop.reply import begin_delivery
from handlers.runs.parking import record_quiesced
from schema.rows import HumanRequestRow, RunRow
from schema.sql import Conn, fetch_the
from tests.integration.handlers.conftest import StartOne, call_back, claim, event, log_of, started
from tests.integration.handlers.human_loop.test_human_loop import asked, give

pytestmark = pytest.mark.both_postgres


@pytest.fixture
def waiting(conn: Conn, start: StartOne) -> tuple[RunRow, UUID]:
    taken = claim(conn, start().run.id)
    assert taken is not None
    request_id = uuid4()
    call_back(conn, taken.run, started(), asked(2, request_id))
    return taken.run, request_id


def lose(conn: Conn, run: RunRow, n: int, **known: object) -> None:
    """The executor was restarted, and its agent is gone; `taken` is what it had of answers."""
    call_back(conn, run, event(n, "run.warning", {"code": "agent_lost", "message": "gone", **known}))
    with conn.transaction():
        record_quiesced(conn, run.id, attempt=run.attempt, has_all_events=True)


def outcomes(conn: Conn, run: RunRow) -> list[tuple[str, str]]:
    return [
        (entry.data["requestId"], entry.data["outcome"])
        for entry in log_of(conn, run.id)
        if entry.type == "human_loop.applied"
    ]


def carried_to_next(conn: Conn, run: RunRow) -> list[UUID]:
    taken = claim(conn, run.id)
    assert taken is not None
    return [carried.request_id for carried in taken.answers]


def status(conn: Conn, request_id: UUID) -> str:
    return fetch_the(conn, "human_request", HumanRequestRow, request_id=request_id).status


def test_an_answer_that_no_executor_was_given_goes_on(conn: Conn, actor: Actor, waiting: tuple[RunRow, UUID]) -> None:
    run, request_id = waiting
    give(conn, actor, request_id, decision="allow")
    lose(conn, run, 3)
    assert carried_to_next(conn, run) == [request_id]
    assert outcomes(conn, run) == []


def test_an_answer_that_its_executor_had_not_taken_goes_on(
    conn: Conn, actor: Actor, waiting: tuple[RunRow, UUID]
) -> None:
    run, request_id = waiting
    give(conn, actor, request_id, decision="allow")
    begin_delivery(conn, request_id)
    lose(conn, run, 3, taken=[])
    assert carried_to_next(conn, run) == [request_id]


@pytest.mark.parametrize("is_known", [True, False])
def test_an_answer_that_was_perhaps_told_is_void(
    conn: Conn, actor: Actor, waiting: tuple[RunRow, UUID], *, is_known: bool
) -> None:
    run, request_id = waiting
    give(conn, actor, request_id, decision="allow")
    begin_delivery(conn, request_id)
    lose(conn, run, 3, **({"taken": [str(request_id)]} if is_known else {}))
    assert carried_to_next(conn, run) == []
    assert (status(conn, request_id), outcomes(conn, run)) == ("void", [(str(request_id), "void")])


def test_an_open_question_outlives_the_agent_that_asked(conn: Conn, waiting: tuple[RunRow, UUID]) -> None:
    run, request_id = waiting
    lose(conn, run, 3, taken=[])
    assert status(conn, request_id) == "open"
    assert claim(conn, run.id) is None


def test_an_attempt_that_was_not_begun_has_used_nothing(conn: Conn, actor: Actor, waiting: tuple[RunRow, UUID]) -> None:
    run, request_id = waiting
    give(conn, actor, request_id, decision="allow")
    lose(conn, run, 3)
    second = claim(conn, run.id)
    assert second is not None
    lose(conn, second.run, 1, promptDelivered=False)
    assert carried_to_next(conn, run) == [request_id]


def test_an_answer_that_was_carried_is_not_delivered_as_well(
    conn: Conn, actor: Actor, waiting: tuple[RunRow, UUID]
) -> None:
    run, request_id = waiting
    give(conn, actor, request_id, decision="allow")
    lose(conn, run, 3)
    second = claim(conn, run.id)
    assert second is not None
    call_back(conn, second.run, started())
    assert begin_delivery(conn, request_id) is None


def test_an_attempt_that_was_begun_may_have_used_what_it_was_given(
    conn: Conn, actor: Actor, waiting: tuple[RunRow, UUID]
) -> None:
    run, request_id = waiting
    give(conn, actor, request_id, decision="allow")
    lose(conn, run, 3)
    second = claim(conn, run.id)
    assert second is not None
    call_back(conn, second.run, started())
    lose(conn, second.run, 2)
    assert carried_to_next(conn, run) == []
    assert outcomes(conn, run) == [(str(request_id), "void")]


def test_a_carried_answer_is_applied_under_the_id_of_its_request(
    conn: Conn, actor: Actor, waiting: tuple[RunRow, UUID]
) -> None:
    run, request_id = waiting
    give(conn, actor, request_id, decision="allow")
    lose(conn, run, 3)
    second = claim(conn, run.id)
    assert second is not None
    applied = {"requestId": str(request_id), "outcome": "applied", "told": "Allow (yes)"}
    call_back(conn, second.run, started(), event(2, "human_loop.applied", applied))
    assert status(conn, request_id) == "applied"
    lose(conn, second.run, 3, taken=[str(request_id)])
    assert outcomes(conn, run) == [(str(request_id), "applied")]

"""What is queued in a session can be edited, moved and taken out until it begins; the order is rows with positions."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from handlers.access.permissions import Actor, actor_of
from handlers.access.users import add_user
from handlers.runs.queue import GAP, QueueEdit, QueuePosition, edit_queued, place_between, remove_queued, session_queue
from handlers.runs.stop import stop_run
from schema.errors import CapabilityMissing, Invalid, NotFound, NotQueued, StaleRevision
from schema.options import RunOptions
from schema.queue_api import QueueItem
from schema.sql import Conn
from tests.integration.handlers.conftest import (
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
from tests.integration.log.laws import broken_laws

pytestmark = pytest.mark.both_postgres


def queue(conn: Conn, actor: Actor, session_id: UUID) -> list[QueueItem]:
    with conn.transaction():
        return session_queue(conn, actor, session_id, after=None, limit=500).items


def prompts(conn: Conn, actor: Actor, session_id: UUID) -> list[str]:
    return [item.prompt for item in queue(conn, actor, session_id)]


def edit(conn: Conn, actor: Actor, run_id: UUID, *, revision: int | None = None, **changes: object) -> QueueItem:
    seen = run_now(conn, run_id).revision if revision is None else revision
    with conn.transaction():
        return edit_queued(conn, actor, run_id, QueueEdit(revision=seen, **changes))  # type: ignore[arg-type]


@pytest.fixture
def line(conn: Conn, start: StartOne) -> list[UUID]:
    """A live run, and `a`, `b`, `c` behind it."""
    first = start("live").run
    assert claim(conn, first.id) is not None
    return [first.id, *(start(prompt, session_id=first.session_id).run.id for prompt in "abc")]


@pytest.fixture
def session_id(conn: Conn, line: list[UUID]) -> UUID:
    return run_now(conn, line[0]).session_id


def test_the_queue_is_shown_in_its_order_behind_the_live_run(
    conn: Conn, actor: Actor, line: list[UUID], session_id: UUID
) -> None:
    with conn.transaction():
        page = session_queue(conn, actor, session_id, after=None, limit=2)
        rest = session_queue(conn, actor, session_id, after=page.next_position, limit=2)
    assert page.live is not None
    assert page.live.id == line[0]
    assert [(item.prompt, item.position, item.revision) for item in page.items + rest.items] == [
        ("a", 1, 1),
        ("b", 2, 1),
        ("c", 3, 1),
    ]
    assert rest.next_position is None


@pytest.mark.parametrize(
    ("mover", "place", "order"),
    [
        ("c", "first", "cab"),
        ("a", "last", "bca"),
        ("c", "before b", "acb"),
        ("a", "after b", "bac"),
        ("b", "after a", "abc"),
    ],
)
def test_a_run_goes_where_it_is_put(
    conn: Conn, actor: Actor, line: list[UUID], session_id: UUID, mover: str, place: str, order: str
) -> None:
    ids = dict(zip("abc", line[1:], strict=True))
    where, _, other = place.partition(" ")
    edit(conn, actor, ids[mover], place=QueuePosition(where, ids.get(other)))  # type: ignore[arg-type]
    assert "".join(prompts(conn, actor, session_id)) == order
    assert broken_laws(conn, session_id) == []


def test_a_run_moved_again_and_again_finds_room(conn: Conn, actor: Actor, line: list[UUID], session_id: UUID) -> None:
    a, b, c = line[1:]
    for _ in range(GAP.bit_length()):
        edit(conn, actor, c, place=QueuePosition("after", a))
        edit(conn, actor, b, place=QueuePosition("after", a))
    assert prompts(conn, actor, session_id) == ["a", "b", "c"]
    positions = [run_now(conn, run_id).position for run_id in line]
    assert positions == sorted(set(positions))


def test_an_edit_is_what_the_run_begins_with(conn: Conn, actor: Actor, line: list[UUID]) -> None:
    live, a, *_ = line
    item = edit(conn, actor, a, prompt="better", options=RunOptions(model="large"))
    assert (item.prompt, item.options["model"], item.revision) == ("better", "large", 2)
    call_back(conn, run_now(conn, live), finished(1))
    taken = claim(conn, a)
    assert taken is not None
    assert (taken.run.prompt, taken.run.options["model"]) == ("better", "large")


def test_an_edit_is_told_to_the_sessions_readers(conn: Conn, actor: Actor, line: list[UUID]) -> None:
    edit(conn, actor, line[3], prompt="sooner", place=QueuePosition("first"))
    told = log_of(conn, line[3])[-1]
    assert (told.type, told.author) == ("run.queue_edited", actor.author)
    assert told.data | {"provider": ""} == {
        "status": "queued",
        "provider": "",
        "revision": 2,
        "queuePosition": 1,
        "moved": True,
        "prompt": "sooner",
    }


def test_what_somebody_else_has_edited_meanwhile_is_not_overwritten(conn: Conn, actor: Actor, line: list[UUID]) -> None:
    edit(conn, actor, line[1], prompt="theirs")
    with pytest.raises(StaleRevision) as refusal:
        edit(conn, actor, line[1], prompt="mine", revision=1)
    now = refusal.value.members["run"]
    assert isinstance(now, dict)
    assert (now["prompt"], now["revision"], now["position"]) == ("theirs", 2, 1)
    with pytest.raises(StaleRevision), conn.transaction():
        remove_queued(conn, actor, line[1], revision=1)


def test_an_edit_without_a_change_changes_nothing(conn: Conn, actor: Actor, line: list[UUID]) -> None:
    before = log_of(conn, line[1])
    assert edit(conn, actor, line[1]).revision == 1
    assert log_of(conn, line[1]) == before


def test_a_run_taken_out_is_cancelled_and_the_others_move_up(
    conn: Conn, actor: Actor, line: list[UUID], session_id: UUID
) -> None:
    with conn.transaction():
        assert remove_queued(conn, actor, line[1]).status == "cancelled"
    with conn.transaction():
        assert remove_queued(conn, actor, line[1]).status == "cancelled"
    assert [(item.prompt, item.position) for item in queue(conn, actor, session_id)] == [("b", 1), ("c", 2)]
    assert broken_laws(conn, session_id) == []


def test_what_has_begun_is_beyond_edits(conn: Conn, actor: Actor, line: list[UUID]) -> None:
    live, a, *_ = line
    for act in (lambda: edit(conn, actor, live, prompt="x"), lambda: remove_queued(conn, actor, live)):
        with pytest.raises(NotQueued), conn.transaction():
            act()
    with pytest.raises(NotQueued):
        edit(conn, actor, a, place=QueuePosition("before", live))


def test_a_run_that_waits_for_its_next_attempt_keeps_its_turn(
    conn: Conn, actor: Actor, line: list[UUID], session_id: UUID
) -> None:
    live, a, *_ = line
    call_back(conn, run_now(conn, live), started(), event(2, "run.warning", {"code": "agent_lost"}))
    assert run_now(conn, live).status == "queued"
    with pytest.raises(NotQueued):
        edit(conn, actor, live, place=QueuePosition("last"))
    with pytest.raises(NotQueued):
        edit(conn, actor, a, place=QueuePosition("before", live))
    edit(conn, actor, a, place=QueuePosition("first"))
    assert prompts(conn, actor, session_id) == ["live", "a", "b", "c"]
    assert claim(conn, live) is not None


def test_a_run_cannot_be_put_beside_itself_or_into_another_session(
    conn: Conn, actor: Actor, line: list[UUID], start: StartOne
) -> None:
    with pytest.raises(Invalid):
        edit(conn, actor, line[1], place=QueuePosition("after", line[1]))
    for elsewhere in (start("elsewhere").run.id, uuid4()):
        with pytest.raises(NotFound):
            edit(conn, actor, line[1], place=QueuePosition("after", elsewhere))


def test_what_the_provider_cannot_do_is_refused_and_nothing_is_changed(
    conn: Conn, actor: Actor, start: StartOne
) -> None:
    first = start(provider="plain").run
    second = start(provider="plain", session_id=first.session_id).run
    for options in (RunOptions(model="large"), RunOptions(require_human_loop=True)):
        with pytest.raises(CapabilityMissing):
            edit(conn, actor, second.id, prompt="other", options=options)
    assert run_now(conn, second.id) == second


def test_warnings_follow_the_options(conn: Conn, actor: Actor, start: StartOne) -> None:
    first = start(provider="plain").run
    second = start(provider="plain", session_id=first.session_id).run
    assert [warning["code"] for warning in second.warnings] == ["resume_unsupported"]
    edit(conn, actor, second.id, options=RunOptions(resume=False))
    assert run_now(conn, second.id).warnings == []


def test_the_queue_of_another_is_not_there(conn: Conn, line: list[UUID], session_id: UUID) -> None:
    other = actor_of(add_user(conn, "eve", "member"))
    for act in (
        lambda: session_queue(conn, other, session_id, after=None, limit=10),
        lambda: edit(conn, other, line[1], prompt="x"),
        lambda: remove_queued(conn, other, line[1]),
    ):
        with pytest.raises(NotFound), conn.transaction():
            act()


def test_whoever_becomes_first_while_nothing_is_live_gets_the_job(conn: Conn, actor: Actor, start: StartOne) -> None:
    first = start("a").run
    second = start("b", session_id=first.session_id).run
    edit(conn, actor, second.id, place=QueuePosition("first"))
    assert jobs(conn, "execute_run", second.id) == 1
    assert claim(conn, first.id) is None
    assert claim(conn, second.id) is not None


def test_an_interrupt_comes_first_and_waits_until_the_old_run_is_settled(
    conn: Conn, actor: Actor, line: list[UUID], session_id: UUID, start: StartOne
) -> None:
    live = run_now(conn, line[0])
    urgent = start("urgent", session_id=session_id, multitask="interrupt")
    assert (urgent.queue_position, prompts(conn, actor, session_id)) == (1, ["urgent", "a", "b", "c"])
    assert (run_now(conn, live.id).status, claim(conn, urgent.run.id)) == ("cancelling", None)
    call_back(conn, live, finished(1))
    assert run_now(conn, live.id).status == "cancelled"
    assert claim(conn, urgent.run.id) is not None


def test_an_interrupt_also_ends_a_run_that_waits_for_its_next_attempt(
    conn: Conn, line: list[UUID], session_id: UUID, start: StartOne
) -> None:
    call_back(conn, run_now(conn, line[0]), started(), event(2, "run.warning", {"code": "agent_lost"}))
    urgent = start("urgent", session_id=session_id, multitask="interrupt")
    assert (run_now(conn, line[0]).status, urgent.queue_position) == ("cancelled", 0)
    assert jobs(conn, "execute_run", urgent.run.id) == 1
    assert claim(conn, urgent.run.id) is not None


def test_a_run_can_be_moved_before_an_interrupting_one(
    conn: Conn, actor: Actor, line: list[UUID], session_id: UUID, start: StartOne
) -> None:
    urgent = start("urgent", session_id=session_id, multitask="interrupt").run
    edit(conn, actor, line[3], place=QueuePosition("first"))
    assert prompts(conn, actor, session_id) == ["c", "urgent", "a", "b"]
    with conn.transaction():
        stop_run(conn, actor, urgent.id, policy=STOP)
    assert broken_laws(conn, session_id) == []


@pytest.mark.parametrize(
    ("low", "high", "position"),
    [(None, None, 0), (5, None, 5 + GAP), (None, 5, 5 - GAP), (0, GAP, GAP // 2), (4, 6, 5), (4, 5, None)],
)
def test_a_position_lies_between_its_neighbours(low: int | None, high: int | None, position: int | None) -> None:
    assert place_between(low, high) == position

"""Todos as they are told: what they are now, what they were, and who changed what. The history replays to the list."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from handlers.runs.todos import TodoGroup, todo_changes, todos_of_run, todos_of_session
from schema.errors import Invalid
from schema.events import SourceEvent
from schema.rows import RunRow
from schema.sql import Conn
from tests.integration.handlers.conftest import (
    StartOne,
    call_back,
    claim,
    event,
    finished,
    log_of,
    run_now,
    started,
)
from tests.thoroughness import by_chance, chances, times

pytestmark = pytest.mark.both_postgres
Item = tuple[str, str, str]
"""Id, content, status."""


def told(n: int, *items: Item, group: str = "demo") -> SourceEvent:
    listed = [{"id": id_, "content": content, "status": status} for id_, content, status in items]
    return event(n, "todo.update", {"groupId": group, "items": listed})


def as_items(groups: list[TodoGroup]) -> dict[str, list[Item]]:
    return {
        group.first.group_id: [(item.item_id, item.content, item.status) for item in group.items] for group in groups
    }


def changes(conn: Conn, run_id: UUID) -> list[tuple[str, str | None, str]]:
    found = todo_changes(conn, run_id, after=0, limit=1000)
    return [(change.item_id, change.from_status, change.to_status) for change in found]


@pytest.fixture
def run(conn: Conn, start: StartOne) -> RunRow:
    return live(conn, start)


def live(conn: Conn, start: StartOne, **fields: object) -> RunRow:
    taken = claim(conn, start(**fields).run.id)
    assert taken is not None
    call_back(conn, taken.run, started())
    return taken.run


def test_the_list_is_as_it_was_told_last_in_its_order(conn: Conn, run: RunRow) -> None:
    call_back(conn, run, told(2, ("a", "Look", "pending"), ("b", "Tidy", "pending")))
    call_back(conn, run, told(3, ("b", "Tidy up", "pending"), ("a", "Look", "completed")))
    assert as_items(todos_of_session(conn, run.session_id)) == {
        "demo": [("b", "Tidy up", "pending"), ("a", "Look", "completed")]
    }


def test_each_change_is_kept_with_its_event_and_one_that_changes_nothing_is_none(conn: Conn, run: RunRow) -> None:
    first = told(2, ("a", "Look", "pending"), ("b", "Tidy", "pending"))
    second = told(3, ("b", "Tidy", "pending"), ("a", "Look", "in_progress"))
    call_back(conn, run, first, event(3, "message.stop", {"messageId": "m", "stopReason": "end_turn"}))
    call_back(conn, run, second.model_copy(update={"n": 4}))
    assert changes(conn, run.id) == [("a", None, "pending"), ("b", None, "pending"), ("a", "pending", "in_progress")]
    seqs = {entry.id: entry.seq for entry in log_of(conn, run.id)}
    found = todo_changes(conn, run.id, after=0, limit=10)
    assert [change.seq for change in found] == [seqs[first.id], seqs[first.id], seqs[second.id]]


def test_several_updates_in_one_call_have_the_numbers_of_their_own_events(conn: Conn, run: RunRow) -> None:
    updates = [told(2, ("a", "x", "pending")), told(3, ("a", "x", "in_progress")), told(4, ("a", "x", "completed"))]
    call_back(conn, run, *updates)
    seqs = {entry.id: entry.seq for entry in log_of(conn, run.id)}
    found = todo_changes(conn, run.id, after=0, limit=10)
    assert [change.seq for change in found] == [seqs[update.id] for update in updates]


def test_what_is_told_no_more_was_dropped(conn: Conn, run: RunRow) -> None:
    call_back(conn, run, told(2, ("a", "Look", "pending"), ("b", "Tidy", "pending")), told(3, ("b", "Tidy", "pending")))
    assert changes(conn, run.id)[-1] == ("a", "pending", "dropped")
    call_back(conn, run, told(4))
    assert todos_of_session(conn, run.session_id) == []
    assert len(changes(conn, run.id)) == 4


def test_the_next_run_goes_on_with_the_list_and_the_one_before_keeps_what_it_left(
    conn: Conn, start: StartOne, run: RunRow
) -> None:
    call_back(conn, run, told(2, ("a", "Look", "completed"), ("b", "Tidy", "pending")), finished(3))
    taken = claim(conn, start(session_id=run.session_id).run.id)
    assert taken is not None
    assert [[item.id for item in group.items] for group in taken.todos] == [["a", "b"]]
    call_back(conn, taken.run, started(), told(2, ("a", "Look", "completed"), ("b", "Tidy", "completed")))
    assert as_items(todos_of_run(conn, run_now(conn, run.id))) == {
        "demo": [("a", "Look", "completed"), ("b", "Tidy", "pending")]
    }
    [group] = todos_of_run(conn, run_now(conn, taken.run.id))
    assert [(item.status, item.run_id) for item in group.items] == [("completed", run.id), ("completed", taken.run.id)]
    assert changes(conn, taken.run.id) == [("b", "pending", "completed")]


def test_lists_of_several_providers_stand_side_by_side(conn: Conn, run: RunRow) -> None:
    call_back(conn, run, told(2, ("a", "Look", "pending"), group="codex"), told(3, ("a", "Tidy", "pending")))
    assert as_items(todos_of_session(conn, run.session_id)) == {
        "codex": [("a", "Look", "pending")],
        "demo": [("a", "Tidy", "pending")],
    }


def test_what_comes_late_changes_nothing(conn: Conn, run: RunRow) -> None:
    call_back(conn, run, told(2, ("a", "Look", "pending")), finished(3))
    call_back(conn, run, told(4, ("a", "Look", "completed")))
    assert as_items(todos_of_session(conn, run.session_id)) == {"demo": [("a", "Look", "pending")]}
    assert len(changes(conn, run.id)) == 1


@pytest.mark.parametrize(
    "data",
    [
        {"groupId": "g", "items": [{"id": "a", "content": "x", "status": "pending"}] * 2},
        {"groupId": "g", "items": [{"id": "a", "content": "x", "status": "dropped"}]},
        {"groupId": "g", "items": [{"id": "", "content": "x", "status": "pending"}]},
        {"groupId": "", "items": []},
        {"items": []},
    ],
)
def test_a_list_that_is_none_is_refused(conn: Conn, run: RunRow, data: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        call_back(conn, run, event(2, "todo.update", data))
    assert todos_of_session(conn, run.session_id) == []


items = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.sampled_from(["Look", "Tidy", "Test"]),
        st.sampled_from(["pending", "in_progress", "completed"]),
    ),
    max_size=6,
    unique_by=lambda item: item[0],
)
groups = st.sampled_from(["codex", "demo"])


class History(RuleBasedStateMachine):
    """`lists` is what ought to be there now, `left` what it was at the end of each run."""

    conn: Conn
    start: StartOne

    def __init__(self) -> None:
        super().__init__()
        self.lists: dict[str, list[Item]] = {}
        self.left: dict[UUID, dict[str, list[Item]]] = {}
        self.run = live(self.conn, self.start)
        self.n = 1

    @property
    def shown(self) -> dict[str, list[Item]]:
        return {group: list(one) for group, one in self.lists.items() if one}

    @rule(updates=st.lists(st.tuples(groups, items), min_size=1, max_size=3))
    def tell(self, updates: list[tuple[str, list[Item]]]) -> None:
        events = []
        for group, one in updates:
            self.n += 1
            events.append(told(self.n, *one, group=group))
            self.lists[group] = one
        call_back(self.conn, self.run, *events)

    @rule(group=groups, one=items)
    def end_and_go_on(self, group: str, one: list[Item]) -> None:
        """With a late word of the run that has ended."""
        call_back(self.conn, self.run, finished(self.n + 1))
        call_back(self.conn, self.run, told(self.n + 2, *one, group=group))
        self.left[self.run.id] = self.shown
        self.run, self.n = live(self.conn, self.start, session_id=self.run.session_id), 1

    @invariant()
    def is_as_told(self) -> None:
        assert as_items(todos_of_session(self.conn, self.run.session_id)) == self.shown

    @invariant()
    def replays(self) -> None:
        replayed: dict[tuple[str, str], tuple[str, str]] = {}
        for run_id in [*self.left, self.run.id]:
            for change in todo_changes(self.conn, run_id, after=0, limit=1000):
                key = (change.group_id, change.item_id)
                assert replayed.get(key, (None, None))[1] == change.from_status
                replayed[key] = (change.content, change.to_status)
            if run_id in self.left:
                assert flat(self.left[run_id]) == there(replayed)
                assert flat(as_items(todos_of_run(self.conn, run_now(self.conn, run_id)))) == there(replayed)
        assert flat(self.shown) == there(replayed)


def flat(lists: dict[str, list[Item]]) -> dict[tuple[str, str], tuple[str, str]]:
    return {(group, id_): (content, status) for group, one in lists.items() for id_, content, status in one}


def there(replayed: dict[tuple[str, str], tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
    return {key: item for key, item in replayed.items() if item[1] != "dropped"}


@pytest.mark.timeout(times(120, 3600))
def test_the_history_replays_to_the_lists(conn: Conn, start: StartOne) -> None:
    class HistoryHere(History):
        pass

    HistoryHere.conn, HistoryHere.start = conn, staticmethod(start)
    run_state_machine_as_test(by_chance(HistoryHere), settings=chances(10, 500, steps=12))

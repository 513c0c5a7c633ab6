"""Ids of todos stay the same while the list changes, and from one run of a session to the next."""

from __future__ import annotations

from executor.agents.todos import TodoEntry, TodoList, todos_of_tool_input
from schema.events import TodoItem, TodoUpdate


def ids(todos: TodoList, *contents: str, status: str = "pending") -> list[str]:
    entries: list[TodoEntry] = [(content, status, None) for content in contents]
    update = todos.replace(entries)
    assert update
    return [item.id for item in update.items]


def test_an_item_keeps_its_id_when_it_moves() -> None:
    todos = TodoList("plan")
    a, b, c = ids(todos, "a", "b", "c")

    assert ids(todos, "c", "a", "b") == [c, a, b]


def test_a_reworded_item_keeps_its_id_by_its_place() -> None:
    todos = TodoList("plan")
    before = ids(todos, "a", "b")

    assert ids(todos, "a", "b, but better") == before


def test_a_new_item_between_gets_a_new_id() -> None:
    todos = TodoList("plan")
    a, b = ids(todos, "a", "b")
    first, new, last = ids(todos, "a", "new", "b")

    assert (first, last) == (a, b)
    assert new not in {a, b}


def test_equal_contents_have_different_ids() -> None:
    todos = TodoList("plan")
    first = ids(todos, "a", "a")
    then = ids(todos, "a", "a", "a")

    assert len(set(first)) == 2
    assert then[:2] == first
    assert len(set(then)) == 3


def test_a_finished_item_is_not_reworded() -> None:
    todos = TodoList("plan")
    todos.replace([("a", "completed", None), ("b", "pending", None)])
    update = todos.replace([("c", "pending", None), ("b", "pending", None)])

    assert update
    assert update.items[0].id not in ids(TodoList("plan", [update]), "b", "a")


def test_a_list_of_which_nothing_is_left_is_another_one() -> None:
    todos = TodoList("plan")
    before = ids(todos, "a", "b")

    assert set(ids(todos, "c", "d")).isdisjoint(before)


def test_a_list_goes_on_where_an_earlier_run_left_it() -> None:
    known = TodoUpdate(
        group_id="codex",
        items=[TodoItem(id="x", content="a", status="completed"), TodoItem(id="y", content="b", status="pending")],
    )

    assert ids(TodoList("codex", [known]), "a", "b", status="completed") == ["x", "y"]
    assert "x" not in ids(TodoList("opencode", [known]), "a", "b")


def test_a_run_tells_a_list_that_did_not_change_once() -> None:
    known = TodoUpdate(group_id="plan", items=[TodoItem(id="x", content="a", status="pending")])
    todos = TodoList("plan", [known])

    assert todos.replace([("a", "pending", None)]) == known
    assert todos.replace([("a", "pending", None)]) is None
    assert TodoList("plan").replace([]) is None


def test_a_status_that_we_do_not_know_is_pending() -> None:
    update = TodoList("plan").replace([("a", "someday", "low"), ("b", ["completed"], None)])

    assert update
    assert [item.status for item in update.items] == ["pending", "pending"]


def test_only_a_list_of_todos_counts_as_one() -> None:
    written = {"todos": [{"content": "a", "status": "pending", "priority": "high"}]}

    assert todos_of_tool_input(written) == [("a", "pending", "high")]
    others: list[object] = [
        None,
        "todos",
        {},
        {"todos": []},
        {"todos": "a"},
        {"todos": [{"content": "a"}]},
        {"todos": [1]},
    ]
    assert [todos_of_tool_input(other) for other in others] == [None] * len(others)


def test_what_was_cancelled_is_in_the_list_no_more() -> None:
    written = {"todos": [{"content": "a", "status": "cancelled"}, {"content": "b", "status": "completed"}]}

    assert todos_of_tool_input(written) == [("b", "completed", None)]

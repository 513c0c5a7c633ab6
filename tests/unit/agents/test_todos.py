"""Ids of todos stay the same while the list changes."""

from __future__ import annotations

from executor.agents.todos import Entry, TodoList, todos_of_tool_input


def ids(todos: TodoList, *contents: str) -> list[str]:
    entries: list[Entry] = [(content, "pending", None) for content in contents]
    update = todos.replace(entries)
    assert update
    return [item.id for item in update.items]


def test_an_item_keeps_its_id_when_it_moves() -> None:
    todos = TodoList("plan")
    ids(todos, "a", "b", "c")

    assert ids(todos, "c", "a", "b") == ["3", "1", "2"]


def test_a_reworded_item_keeps_its_id_by_its_place() -> None:
    todos = TodoList("plan")
    ids(todos, "a", "b")

    assert ids(todos, "a", "b, but better") == ["1", "2"]


def test_a_new_item_between_gets_a_new_id() -> None:
    todos = TodoList("plan")
    ids(todos, "a", "b")

    assert ids(todos, "a", "new", "b") == ["1", "3", "2"]


def test_equal_contents_have_different_ids() -> None:
    todos = TodoList("plan")

    assert ids(todos, "a", "a") == ["1", "2"]
    assert ids(todos, "a", "a", "a") == ["1", "2", "3"]


def test_the_same_list_again_says_nothing() -> None:
    todos = TodoList("plan")
    ids(todos, "a")

    assert todos.replace([("a", "pending", None)]) is None


def test_a_status_that_we_do_not_know_is_pending() -> None:
    update = TodoList("plan").replace([("a", "someday", "low"), ("b", "cancelled", None)])

    assert update
    assert [item.status for item in update.items] == ["pending", "completed"]


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

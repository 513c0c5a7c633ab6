"""Track an agent's todo list with ids that stay the same while the list changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from executor.agents.text import cut_text
from schema.events import TodoItem, TodoUpdate

TodoEntry = tuple[str, Any, str | None]
"""Content, status, priority."""

CONTENT_BYTES = 4096
_STATUSES = ("pending", "in_progress", "completed")


class TodoList:
    """One group of todos. `known` are the session's groups in the log: the list continues from earlier runs.

    An entry keeps its id by its content, else (reworded) by its position. A finished entry is never reworded. A list
    that shares no entry with the old one is a new list.
    """

    def __init__(self, group_id: str, known: Sequence[TodoUpdate] = ()) -> None:
        self._group_id = group_id
        self._items = next((group.items for group in known if group.group_id == group_id), [])
        self._is_told = False

    def replace(self, entries: list[TodoEntry]) -> TodoUpdate | None:
        """Replace the list. Return None when the run has reported the same list, or when there is nothing to report."""
        entries = [(cut_text(content, CONTENT_BYTES), status, priority) for content, status, priority in entries]
        ids = self._ids([content for content, _, _ in entries])
        items = [
            TodoItem(id=id_, content=content, status=_status(status), priority=priority)
            for id_, (content, status, priority) in zip(ids, entries, strict=True)
        ]
        if items == self._items and (self._is_told or not items):
            return None
        self._items, self._is_told = items, True
        return TodoUpdate(group_id=self._group_id, items=items)

    def _ids(self, contents: list[str]) -> list[str]:
        free = {item.content: item.id for item in reversed(self._items)}
        by_content = [free.pop(content, None) for content in contents]
        taken = {id_ for id_ in by_content if id_ is not None}
        reworded = self._unfinished() if taken else {}
        ids: list[str] = []
        for position, known in enumerate(by_content):
            by_position = reworded.get(position)
            id_ = known or (by_position if by_position not in taken else None) or str(uuid4())
            taken.add(id_)
            ids.append(id_)
        return ids

    def _unfinished(self) -> dict[int, str]:
        """Return the ids of unfinished entries by position."""
        return {position: item.id for position, item in enumerate(self._items) if item.status != "completed"}


def todos_of_tool_input(raw_input: Any) -> list[TodoEntry] | None:
    """Return the list in a tool call that writes todos (OpenCode's `todowrite`), without cancelled entries.

    Returns None for any other call.
    """
    todos = raw_input.get("todos") if isinstance(raw_input, dict) else None
    if not isinstance(todos, list) or not todos:
        return None
    entries = [
        (str(todo["content"]), todo.get("status"), _text(todo.get("priority")))
        for todo in todos
        if isinstance(todo, dict) and todo.get("content") and "status" in todo
    ]
    if len(entries) != len(todos):
        return None
    return [entry for entry in entries if entry[1] != "cancelled"]


def _status(status: Any) -> Any:
    return status if status in _STATUSES else "pending"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None

"""An agent's list of what it means to do, with ids that stay the same while the list changes."""

from __future__ import annotations

from typing import Any

from executor.agents.text import cut_text
from schema.events import TodoItem, TodoUpdate

Entry = tuple[str, Any, str | None]
"""Content, status, priority."""

_STATUSES = {"pending": "pending", "in_progress": "in_progress", "completed": "completed", "cancelled": "completed"}


class TodoList:
    """One group. An entry keeps its id by its content, else (reworded) by its place."""

    def __init__(self, group_id: str) -> None:
        self._group_id = group_id
        self._items: list[TodoItem] = []
        self._made = 0

    def replace(self, entries: list[Entry]) -> TodoUpdate | None:
        """The list is now this one; None when nothing changed."""
        ids = self._ids([content for content, _, _ in entries])
        items = [
            TodoItem(id=id_, content=cut_text(content, 4096), status=_status(status), priority=priority)
            for id_, (content, status, priority) in zip(ids, entries, strict=True)
        ]
        if items == self._items:
            return None
        self._items = items
        return TodoUpdate(group_id=self._group_id, items=items)

    def _ids(self, contents: list[str]) -> list[str]:
        free = {item.content: item.id for item in reversed(self._items)}
        by_content = [free.pop(cut_text(content, 4096), None) for content in contents]
        taken = {id_ for id_ in by_content if id_ is not None}
        ids: list[str] = []
        for place, by_text in enumerate(by_content):
            id_ = by_text or self._id_at(place, taken)
            taken.add(id_)
            ids.append(id_)
        return ids

    def _id_at(self, place: int, taken: set[str]) -> str:
        if place < len(self._items) and self._items[place].id not in taken:
            return self._items[place].id
        self._made += 1
        return str(self._made)


def todos_of_tool_input(raw_input: Any) -> list[Entry] | None:
    """The list in the input of a tool call that writes todos (OpenCode's `todowrite`); None when it is no such call."""
    todos = raw_input.get("todos") if isinstance(raw_input, dict) else None
    if not isinstance(todos, list) or not todos:
        return None
    entries = [
        (str(one["content"]), one.get("status"), _text(one.get("priority")))
        for one in todos
        if isinstance(one, dict) and one.get("content") and "status" in one
    ]
    return entries if len(entries) == len(todos) else None


def _status(status: Any) -> Any:
    return _STATUSES.get(str(status), "pending")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None

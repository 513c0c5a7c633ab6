"""An agent's list of what it means to do, with ids that stay the same while the list changes."""

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
    """One group. `known` are the session's groups as the log has them: the list goes on where earlier runs left it.

    An entry keeps its id by its content, else (reworded) by its place. What is finished is not reworded, and a list of
    which nothing is left is another list.
    """

    def __init__(self, group_id: str, known: Sequence[TodoUpdate] = ()) -> None:
        self._group_id = group_id
        self._items = next((group.items for group in known if group.group_id == group_id), [])
        self._is_told = False

    def replace(self, entries: list[TodoEntry]) -> TodoUpdate | None:
        """The list is now this one; None when the run has told that already, or there is nothing to tell."""
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
        for place, known in enumerate(by_content):
            by_place = reworded.get(place)
            id_ = known or (by_place if by_place not in taken else None) or str(uuid4())
            taken.add(id_)
            ids.append(id_)
        return ids

    def _unfinished(self) -> dict[int, str]:
        """Ids by place."""
        return {place: item.id for place, item in enumerate(self._items) if item.status != "completed"}


def todos_of_tool_input(raw_input: Any) -> list[TodoEntry] | None:
    """The list in the input of a tool call that writes todos (OpenCode's `todowrite`), without what was cancelled; None
    when it is no such call."""
    todos = raw_input.get("todos") if isinstance(raw_input, dict) else None
    if not isinstance(todos, list) or not todos:
        return None
    entries = [
        (str(one["content"]), one.get("status"), _text(one.get("priority")))
        for one in todos
        if isinstance(one, dict) and one.get("content") and "status" in one
    ]
    if len(entries) != len(todos):
        return None
    return [entry for entry in entries if entry[1] != "cancelled"]


def _status(status: Any) -> Any:
    return status if status in _STATUSES else "pending"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None

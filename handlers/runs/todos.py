"""What agents mean to do: a session's lists as they are told, and each change of an item with the run that made it.

The history is the truth of it: replayed, it gives the lists as they are (and as they were at the end of each run).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal
from uuid import UUID

from schema.errors import Invalid
from schema.events import TodoItem, TodoUpdate
from schema.rows import RunRow
from schema.sql import Conn, execute, fetch_all, jsonb

Status = Literal["pending", "in_progress", "completed"]


@dataclass(frozen=True)
class TodoRow:
    """An item of a list, and the run that changed it last."""

    group_id: str
    title: str | None
    provider: str
    item_id: str
    content: str
    status: Status
    priority: str | None
    run_id: UUID
    at: datetime


@dataclass(frozen=True)
class TodoGroup:
    """A list that is not empty, in its order."""

    items: Sequence[TodoRow]

    @property
    def first(self) -> TodoRow:
        return self.items[0]

    @property
    def latest(self) -> TodoRow:
        """The item that changed last."""
        return max(self.items, key=lambda item: item.at)


@dataclass(frozen=True)
class TodoChange:
    """`from_status` is None for a new item; `to_status` may also be `dropped`. `number` orders a session's changes."""

    number: int
    seq: int
    at: datetime
    run_id: UUID
    group_id: str
    item_id: str
    content: str
    from_status: str | None
    to_status: str


def replace_todos(conn: Conn, run: RunRow, told: TodoUpdate, *, seq: int) -> None:
    """The group's list is now the one told by the event `seq`. The session is held. Raises Invalid if an id is told
    twice."""
    if len({item.id for item in told.items}) < len(told.items):
        raise Invalid("The data of todo.update does not fit: an item's id stands twice.", code="bad_event_data")
    items = [{**item.to_json(), "place": place} for place, item in enumerate(told.items)]
    execute(
        conn,
        "replace_todos",
        session_id=run.session_id,
        run_id=run.id,
        provider=run.provider,
        group_id=told.group_id,
        title=told.title,
        items=jsonb(items),
        seq=seq,
    )


def todos_of_session(conn: Conn, session_id: UUID) -> list[TodoGroup]:
    """The lists as they are now, whichever run or provider made them."""
    return _grouped(fetch_all(conn, "todos_of_session", TodoRow, session_id=session_id))


def todos_of_run(conn: Conn, run: RunRow) -> list[TodoGroup]:
    """The session's lists as the run left them; as they are, while it has not ended."""
    if not run.is_final:
        return todos_of_session(conn, run.session_id)
    return _grouped(fetch_all(conn, "todos_left_by_run", TodoRow, session_id=run.session_id, run_id=run.id))


def todo_changes(conn: Conn, run_id: UUID, *, after: int, limit: int) -> list[TodoChange]:
    """What the run changed, oldest first; `after` is the number of the last change that is known."""
    return fetch_all(conn, "todo_changes_of_run", TodoChange, run_id=run_id, after=after, limit=limit)


def known_todos(conn: Conn, session_id: UUID) -> list[TodoUpdate]:
    """The lists as an executor is told them, so that its agent's items keep their ids."""
    return [_told(group) for group in todos_of_session(conn, session_id)]


def _grouped(rows: list[TodoRow]) -> list[TodoGroup]:
    return [TodoGroup(list(items)) for _, items in groupby(rows, key=lambda row: row.group_id)]


def _told(group: TodoGroup) -> TodoUpdate:
    items = [
        TodoItem(id=item.item_id, content=item.content, status=item.status, priority=item.priority)
        for item in group.items
    ]
    return TodoUpdate(group_id=group.first.group_id, title=group.first.title, items=items)

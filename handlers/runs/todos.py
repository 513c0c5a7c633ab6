"""Store agents' todos: a session's present lists, and each change of an item with its run.

The history is authoritative: replayed, it yields the present lists, and the lists at the end of each run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, takewhile
from typing import Literal
from uuid import UUID

from schema.errors import Invalid
from schema.events import SourceEvent, TodoItem, TodoUpdate
from schema.row_pages import RowPage, fetch_page
from schema.rows import RunRow
from schema.sql import Conn, fetch_all, fetch_value, jsonb
from schema.wire import Json

Status = Literal["pending", "in_progress", "completed"]
MOST_ITEMS = 1000
"""Items that one update of a list adds or changes. Present ones that it names after them stay as they were."""
LONGEST_ITEM = 4096
"""Characters of an item's content, and of a list's title."""
LONGEST_PRIORITY = 100
MOST_LISTS = 100
"""Lists of a session."""
MOST_KNOWN_ITEMS = 10_000
"""Items that one list has ever had."""
MOST_TEXT = 2_000_000
"""Characters of all present items of a session, each counted with ITEM_COST: what one answer of all lists may hold."""
ITEM_COST = 100
MOST_ITEMS_OF_A_CALL = 3000
"""Items that the updates of one call may name, so that each update is a change of the history."""
BODIES = ("content", "group_id", "item_id")
"""Columns of a change that can be large."""
TODOS_LEFT_OUT = "todos_left_out"
LEFT_OUT = (
    f"Some of the agent's todos are left out: a session has at most {MOST_LISTS} lists, an update {MOST_ITEMS:,} "
    f"items, a list {MOST_KNOWN_ITEMS:,} in all, an item {LONGEST_ITEM:,} characters, and all lists {MOST_TEXT:,}."
)


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
    """A nonempty list, in its order."""

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
    """`from_status` is None for a new item; `to_status` may be `dropped`. `number` orders a session's changes."""

    number: int
    seq: int
    at: datetime
    run_id: UUID
    group_id: str
    item_id: str
    content: str
    from_status: str | None
    to_status: str


def replace_todos(conn: Conn, run: RunRow, update: TodoUpdate, *, seq: int) -> bool:
    """Replace the group's list by the list of the event `seq`, within the limits; return whether it is complete.

    The caller has locked the session. Raises Invalid if an id occurs twice.
    """
    if len({item.id for item in update.items}) < len(update.items):
        raise Invalid("The data of todo.update does not fit: an item's id stands twice.", code="bad_event_data")
    items = [_stored(item, place) for place, item in enumerate(update.items[:MOST_ITEMS])]
    stored: int = fetch_value(
        conn,
        "replace_todos",
        session_id=run.session_id,
        run_id=run.id,
        provider=run.provider,
        group_id=update.group_id,
        title=None if update.title is None else update.title[:LONGEST_ITEM],
        items=jsonb(items),
        ids=[item.id for item in update.items],
        seq=seq,
        most_lists=MOST_LISTS,
        most_known=MOST_KNOWN_ITEMS,
        most_text=MOST_TEXT,
        item_cost=ITEM_COST,
    )
    return stored == len(update.items) and all(len(item.content) <= LONGEST_ITEM for item in update.items)


def _stored(item: TodoItem, place: int) -> Json:
    return {
        "id": item.id,
        "place": place,
        "content": item.content[:LONGEST_ITEM],
        "status": item.status,
        "priority": None if item.priority is None else item.priority[:LONGEST_PRIORITY],
    }


def superseded_updates(events: Sequence[SourceEvent]) -> frozenset[UUID]:
    """Return the ids of a call's updates whose list a later one replaces, where the call names too many items.

    The changes in between are in the log and not in the history, which still leads to the present lists. An update with
    a title always counts, and so does one before the run's end: later ones do not.
    """
    live = takewhile(lambda event: not _ends_attempt(event), events)
    updates = [event for event in live if event.type == "todo.update" and isinstance(event.data.get("items"), list)]
    if sum(len(event.data["items"]) for event in updates) <= MOST_ITEMS_OF_A_CALL:
        return frozenset()
    last = set({str(event.data.get("groupId")): event.id for event in updates}.values())
    return frozenset(event.id for event in updates if event.id not in last and event.data.get("title") is None)


def _ends_attempt(event: SourceEvent) -> bool:
    return event.type == "run.finished" or (event.type == "run.warning" and event.data.get("code") == "agent_lost")


def todos_of_session(conn: Conn, session_id: UUID) -> list[TodoGroup]:
    """Return the present lists of all runs and providers."""
    return _grouped(fetch_all(conn, "todos_of_session", TodoRow, session_id=session_id))


def todos_of_run(conn: Conn, run: RunRow) -> list[TodoGroup]:
    """Return the session's lists as the run left them; for a run that has not ended, the present lists."""
    if not run.is_final:
        return todos_of_session(conn, run.session_id)
    return _grouped(fetch_all(conn, "todos_left_by_run", TodoRow, session_id=run.session_id, run_id=run.id))


def todo_changes(conn: Conn, run_id: UUID, *, after: int, limit: int) -> RowPage[TodoChange]:
    """Return the run's changes, oldest first; `after` is the number of the last known change."""
    return fetch_page(conn, "todo_changes_of_run", TodoChange, bodies=BODIES, run_id=run_id, after=after, limit=limit)


def todo_history(conn: Conn, session_id: UUID, *, before: int | None, limit: int) -> RowPage[TodoChange]:
    """Return the changes of all runs, newest first; `before` is the number of the oldest known change."""
    return fetch_page(
        conn, "todo_changes_of_session", TodoChange, bodies=BODIES, session_id=session_id, before=before, limit=limit
    )


def known_todos(conn: Conn, session_id: UUID) -> list[TodoUpdate]:
    """Return the lists for an executor, so that its agent's items keep their ids."""
    return [_as_update(group) for group in todos_of_session(conn, session_id)]


def _grouped(rows: list[TodoRow]) -> list[TodoGroup]:
    return [TodoGroup(list(items)) for _, items in groupby(rows, key=lambda row: row.group_id)]


def _as_update(group: TodoGroup) -> TodoUpdate:
    items = [
        TodoItem(id=item.item_id, content=item.content, status=item.status, priority=item.priority)
        for item in group.items
    ]
    return TodoUpdate(group_id=group.first.group_id, title=group.first.title, items=items)

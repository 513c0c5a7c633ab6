"""Show and edit a session's queue.

Rows with positions define the order. An edit locks the session and is guarded by the revision of the run; a run that
has begun cannot be edited.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from handlers.access.permissions import Actor, session_for
from handlers.apps.apps import app_by_id
from handlers.event_log import append, hold_session, run_event
from handlers.providers.registry import provider_named, refuse_unsupported
from handlers.runs.limits import HeldBy, held_position, put_first
from handlers.runs.read import run_for
from handlers.runs.settle import cancel
from handlers.runs.start import cannot_ask, warnings_of, with_defaults
from schema.errors import CapabilityMissing, Invalid, NotFound, NotQueued, StaleRevision
from schema.options import RunOptions
from schema.queue_api import QueueItem
from schema.row_pages import RowPage, fetch_page
from schema.rows import RunRow
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_value, jsonb
from schema.wire import Json

GAP = 1024
"""The distance between neighbours' positions, so that most moves write one row."""


@dataclass(frozen=True)
class QueuePosition:
    """A run's new position in its session's queue; `before` and `after` refer to the run `other`."""

    where: Literal["first", "last", "before", "after"]
    other: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class QueueEdit:
    """An edit of a queued run at the `revision` that the editor has read; None keeps a field."""

    revision: int
    prompt: str | None = None
    options: RunOptions | None = None
    place: QueuePosition | None = None

    @property
    def changes_anything(self) -> bool:
        return (self.prompt, self.options, self.place) != (None, None, None)


@dataclass(frozen=True)
class SessionQueue:
    """A page of the queue. `next_position` begins the next page; None on the last page."""

    live: RunRow | None
    items: list[QueueItem]
    next_position: int | None


def session_queue(conn: Conn, actor: Actor, session_id: UUID, *, after: int | None, limit: int) -> SessionQueue:
    """Return the session's live run and its queued runs after the position, in order."""
    session_for(conn, actor, session_id)
    live = fetch_one(conn, "live_run", RunRow, session_id=session_id)
    rows = _rows(conn, session_id, after=after, limit=limit)
    items = [_item(conn, row) for row in rows]
    return SessionQueue(live=live, items=items, next_position=rows[-1].position if rows.is_full else None)


def edit_queued(conn: Conn, actor: Actor, run_id: UUID, edit: QueueEdit) -> QueueItem:
    """Edit the run; return it. Raises NotFound, NotQueued, StaleRevision (with the present run), CapabilityMissing."""
    head = hold_session(conn, run_for(conn, actor, run_id).session_id)
    run = run_for(conn, actor, run_id)
    _refuse_unless_waiting(conn, run, revision=edit.revision)
    if not edit.changes_anything:
        return _the_item(conn, run)
    options = None if edit.options is None else _checked(conn, run, edit.options)
    execute(
        conn,
        "edit_queued_run",
        run_id=run.id,
        revision=edit.revision,
        prompt=edit.prompt,
        options=None if options is None else jsonb(options.options),
        warnings=None if options is None else jsonb(options.warnings),
    )
    if edit.place is not None:
        _move(conn, actor, run, edit.place)
    item = _the_item(conn, run)
    append(conn, head, [run_event(run, "run.queue_edited", _edited_data(item, edit), author=actor.author)])
    return item


def remove_queued(conn: Conn, actor: Actor, run_id: UUID, *, revision: int | None = None) -> RunRow:
    """Cancel a run that has not begun; a cancelled run stays as it is. Raises as `edit_queued`."""
    head = hold_session(conn, run_for(conn, actor, run_id).session_id)
    run = run_for(conn, actor, run_id)
    if run.status == "cancelled":
        return run
    _refuse_unless_waiting(conn, run, revision=revision)
    append(conn, head, cancel(conn, run, message="The run was taken out of the queue.", author=actor.author))
    return run_for(conn, actor, run_id)


def place_between(low: int | None, high: int | None) -> int | None:
    """Return a position between two neighbours, of which either may be None; None when there is no room."""
    if high is None:
        return 0 if low is None else low + GAP
    if low is None:
        return high - GAP
    return (low + high) // 2 if high - low > 1 else None


@dataclass(frozen=True)
class _Queued:
    id: UUID
    session_id: UUID
    user_id: UUID
    provider: str
    prompt: str
    options: Json
    position: int
    ahead: int
    attempt: int
    revision: int
    created_at: datetime
    held_by: HeldBy | None
    held_since: datetime | None
    attachments: list[str]


@dataclass(frozen=True)
class _Waiting:
    id: UUID
    position: int


@dataclass(frozen=True)
class _Checked:
    options: Json
    warnings: list[Json]


def _rows(
    conn: Conn, session_id: UUID, *, run_id: UUID | None = None, after: int | None = None, limit: int = 1
) -> RowPage[_Queued]:
    return fetch_page(
        conn,
        "queued_runs",
        _Queued,
        bodies=("prompt", "options", "attachments"),
        session_id=session_id,
        run_id=run_id,
        after=after,
        limit=limit,
    )


def _item(conn: Conn, row: _Queued) -> QueueItem:
    return QueueItem(
        run_id=row.id,
        session_id=row.session_id,
        user_id=row.user_id,
        provider=row.provider,
        prompt=row.prompt,
        options=row.options,
        attachments=row.attachments,
        position=row.ahead,
        revision=row.revision,
        attempts=row.attempt,
        created_at=row.created_at,
        held_by=row.held_by,
        held_since=row.held_since,
        held_position=held_position(conn, row.id) if row.held_by else None,
    )


def _the_item(conn: Conn, run: RunRow) -> QueueItem:
    [row] = _rows(conn, run.session_id, run_id=run.id)
    return _item(conn, row)


def _refuse_unless_waiting(conn: Conn, run: RunRow, *, revision: int | None) -> None:
    if run.status != "queued":
        raise NotQueued(f"The run is {run.status}: it is not in the queue any more.", runStatus=run.status)
    if run.attempt > 0:
        raise NotQueued("The run has begun already and waits to go on; it can be stopped.", runStatus=run.status)
    if revision not in (None, run.revision):
        raise StaleRevision(run=_the_item(conn, run).to_json())


def _checked(conn: Conn, run: RunRow, options: RunOptions) -> _Checked:
    """Return the options as stored. An edit that would block the run raises, so the run stays unchanged."""
    provider = provider_named(conn, run.provider)
    options = with_defaults(app_by_id(conn, run.app_id), options)
    refuse_unsupported(provider, options)
    if cannot_ask(provider, options):
        raise CapabilityMissing(f"{provider.title} cannot ask a person.", capability="humanLoop")
    return _Checked(options.to_json(), [warning.to_json() for warning in warnings_of(provider, options)])


def _edited_data(item: QueueItem, edit: QueueEdit) -> Json:
    """Return the fields that other devices need to show the queue: the changes, and the run's position."""
    data: Json = {"status": "queued", "provider": item.provider, "revision": item.revision}
    data |= {"queuePosition": item.position, "moved": edit.place is not None}
    data |= {} if edit.prompt is None else {"prompt": item.prompt}
    return data | ({} if edit.options is None else {"options": item.options})


def _move(conn: Conn, actor: Actor, run: RunRow, place: QueuePosition) -> None:
    if place.other is not None:
        _refuse_as_neighbour(run_for(conn, actor, place.other), run)
    was_next = fetch_value(conn, "head_of_queue", session_id=run.session_id)
    position = _position_at(conn, run, place)
    if position is None:
        after = fetch_value(conn, "last_position_taken", session_id=run.session_id)
        execute(conn, "space_out_queue", session_id=run.session_id, after=after, gap=GAP)
        position = _position_at(conn, run, place)
    execute(conn, "place_run", run_id=run.id, position=position)
    is_next = fetch_value(conn, "head_of_queue", session_id=run.session_id)
    if is_next is not None and is_next != was_next:
        put_first(conn, is_next, session_id=run.session_id)


def _refuse_as_neighbour(other: RunRow, run: RunRow) -> None:
    if other.session_id != run.session_id:
        raise NotFound("There is no such run in this session.", code="unknown_run")
    if other.id == run.id:
        raise Invalid("A run cannot be moved before or after itself.")
    if other.status != "queued" or other.attempt > 0:
        raise NotQueued("The run to move it to is not in the queue any more.", runStatus=other.status)


def _position_at(conn: Conn, run: RunRow, place: QueuePosition) -> int | None:
    """Return the run's position; None when the neighbours leave no room."""
    waiting = fetch_all(conn, "waiting_runs", _Waiting, session_id=run.session_id)
    others = [other for other in waiting if other.id != run.id]
    index = _index(others, place)
    low = others[index - 1].position if index else fetch_value(conn, "last_position_taken", session_id=run.session_id)
    return place_between(low, others[index].position if index < len(others) else None)


def _index(others: Sequence[_Waiting], place: QueuePosition) -> int:
    """Return the run's index among the others."""
    if place.other is None:
        return 0 if place.where == "first" else len(others)
    index = next(i for i, other in enumerate(others) if other.id == place.other)
    return index if place.where == "before" else index + 1

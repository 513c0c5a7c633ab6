"""Follow a log. Replay and live events take the same path, for WebSocket and SSE.

Read the rows after the cursor; without rows wait for a wake-up; read again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import structlog
from psycopg import OperationalError
from psycopg.errors import ProgramLimitExceeded

from functions.events.pages import PAGE, SMALLEST_PAGE, next_limit
from functions.runtime.access_watch import HeldAccess
from functions.runtime.log_notifier import Reader
from functions.runtime.process import ApiProcess
from functions.runtime.stream_slots import StreamSlot
from handlers.access.open_streams import OpenStream
from handlers.access.permissions import Actor, session_for
from handlers.event_log import WrittenEvents, run_events, written_events
from handlers.runs.read import run_for
from schema.errors import Conflict
from schema.events import Envelope
from schema.sql import Conn

RECHECK_SECONDS = 15.0
RETRY_SECONDS = 1.0
NOTHING_WRITTEN = WrittenEvents()
_log = structlog.get_logger("functions.events.follow")


@dataclass(frozen=True)
class Followed:
    """The followed log, a session's or one run's part of it, and its reader."""

    session_id: UUID
    run_id: UUID | None
    actor: Actor
    authenticate: Callable[[Conn], Actor]
    """Raises Unauthenticated once the login has expired."""


@dataclass(frozen=True)
class Batch:
    """Events in order: a run's, or a session's `written` ones. A batch is empty when no event came within a tick, or
    the wake-up had another reason. `is_full`: more events may exist already."""

    events: Sequence[Envelope] = ()
    written: WrittenEvents = NOTHING_WRITTEN
    is_full: bool = False
    is_last: bool = False

    def cursor_after(self, cursor: int) -> int:
        """Return the cursor after this batch."""
        return max(cursor, self.written.last_seq, self.events[-1].seq if self.events else 0)


def refuse_cursor_ahead(last_seq: int, cursor: int) -> None:
    """Raise Conflict for a cursor beyond the log's end: its reader would silently miss the events up to it."""
    if cursor > last_seq:
        raise Conflict(f"The log ends at {last_seq}: read it again from a cursor within it.", code="bad_cursor")


def follow(
    process: ApiProcess, followed: Followed, *, after: int, slot: StreamSlot, tick_seconds: float
) -> Iterator[Batch]:
    """Yield every event after the cursor exactly once and in order, in batches, until the run or the server ends.

    Waits while the database cannot be reached. Raises Unauthenticated and NotFound when the reader loses its
    permission.
    """
    pages = _Pages(process, followed, after)
    with (
        process.notifier.reading(followed.session_id, slot.wake_up) as reader,
        _held_access(process, followed, slot) as access,
    ):
        read: Callable[[], Batch | None] = pages.next
        while not process.stream_slots.is_ending:
            batch = read()
            access.confirm()
            read = pages.next
            if batch is None:
                slot.wake_up.wait(RETRY_SECONDS)
                yield Batch()
                continue
            if batch.is_full and process.ahead is not None:
                read = process.ahead.submit(copy_context().run, pages.next).result
            yield batch
            if batch.is_last:
                return
            if not batch.is_full:
                yield from _wait(process, reader, access, pages.cursor, tick_seconds=tick_seconds)


def _held_access(process: ApiProcess, followed: Followed, slot: StreamSlot) -> AbstractContextManager[HeldAccess]:
    """Watch the reader's access: the stream ends within two seconds after it."""
    credential_id = followed.actor.credential_id
    if credential_id is None:
        return nullcontext(HeldAccess(slot.wake_up))
    return process.access.holding(OpenStream(credential_id, followed.session_id), slot.wake_up)


class _Pages:
    """The followed log, page by page. While a full page is being sent, the next page is read; never more than that."""

    def __init__(self, process: ApiProcess, followed: Followed, after: int) -> None:
        self._process = process
        self._followed = followed
        self._checked_at = time.monotonic()
        self._limit = PAGE
        self.cursor = after

    def next(self) -> Batch | None:
        """Read the next page; return None when the database does not answer."""
        must_check = time.monotonic() - self._checked_at >= RECHECK_SECONDS
        try:
            batch = _read(self._process, self._followed, self.cursor, limit=self._limit, must_check=must_check)
        except (
            ProgramLimitExceeded
        ):  # PostgreSQL makes a page as one text, below 1 GB: these events need a smaller page
            if self._limit == SMALLEST_PAGE:
                raise
            self._limit = SMALLEST_PAGE
            return self.next()
        if batch is None:
            return None
        if must_check:
            self._checked_at = time.monotonic()
        self._limit = next_limit(batch.written.json, self._limit)
        self.cursor = batch.cursor_after(self.cursor)
        return batch


def _wait(
    process: ApiProcess, reader: Reader, access: HeldAccess, cursor: int, *, tick_seconds: float
) -> Iterator[Batch]:
    """Wait until the log may have grown. Yield an empty batch after each tick and each other wake-up."""
    until = time.monotonic() + RECHECK_SECONDS
    while not process.stream_slots.is_ending and (left := until - time.monotonic()) > 0:
        if reader.wait(cursor, min(tick_seconds, left)):
            return
        access.confirm()
        yield Batch()


def _read(process: ApiProcess, followed: Followed, cursor: int, *, limit: int, must_check: bool) -> Batch | None:
    """Read a page; return None when the database does not answer."""
    try:
        if followed.run_id is None and not must_check:
            read = partial(written_events, session_id=followed.session_id, after=cursor, limit=limit)
            return _written(process.database.call_alone(read))
        with process.database.transaction() as conn:
            if must_check:
                session_for(conn, followed.authenticate(conn), followed.session_id)
            if followed.run_id is None:
                return _written(written_events(conn, followed.session_id, after=cursor, limit=limit))
            return _read_run(conn, followed, followed.run_id, cursor)
    except ProgramLimitExceeded:
        raise
    except OperationalError as error:
        _log.warning("the database did not answer a reader; retrying", reason=str(error).splitlines()[:1])
        return None


def _written(events: WrittenEvents) -> Batch:
    return Batch(written=events, is_full=events.is_full)


def _read_run(conn: Conn, followed: Followed, run_id: UUID, cursor: int) -> Batch:
    events = run_events(conn, run_id, after=cursor, limit=PAGE)
    has_ended = False
    if (not events or events[-1].late) and run_for(conn, followed.actor, run_id).is_final:
        has_ended = True
        events = run_events(conn, run_id, after=cursor, limit=PAGE)  # the run may have ended between both reads
    for i, event in enumerate(events):
        if event.type == "run.finished" and not event.late:
            return Batch(events[: i + 1], is_last=True)
    return Batch(events, is_full=events.is_full, is_last=has_ended and not events.is_full)

"""Append to a session's log under the session's lock, and read it after a cursor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

from schema.errors import NotFound
from schema.events import Envelope
from schema.row_pages import PAGE_BYTES, RowPage, fetch_page
from schema.rows import EventRow, LogHead, RunRow
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_value, jsonb, queries
from schema.wire import Json

SYSTEM = "system"
EXECUTOR = "executor"
BODIES = ("data",)
"""Columns of an event that can be large."""
FEW_EVENTS = 4
"""So many events are read whatever their size: a live reader mostly reads no more."""
LOGS_PER_PAYLOAD = 100
"""A payload holds less than 8,000 bytes, one log's head at most 57."""
_noted: ContextVar[dict[UUID, int]] = ContextVar("noted changes")


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """An event to be appended. `n` is the source's own number; `at` None means now, in database time."""

    type: str
    data: Json
    author: str = SYSTEM
    run_id: UUID | None = None
    attempt: int | None = None
    id: UUID | None = None
    n: int | None = None
    at: datetime | None = None
    late: bool = False


def run_event(run: RunRow, type_: str, data: Json, *, author: str = SYSTEM) -> NewEvent:
    """Make an event about a run that the control plane itself authors."""
    return NewEvent(type=type_, data=data, author=author, run_id=run.id, attempt=run.attempt or None)


def hold_session(conn: Conn, session_id: UUID) -> LogHead:
    """Lock the session until the transaction ends. Every change of a session does this first. Raises NotFound."""
    head = fetch_one(conn, "hold_session", LogHead, session_id=session_id)
    if head is None:
        raise NotFound("There is no such session.", code="unknown_session")
    return head


def append(conn: Conn, head: LogHead, events: Sequence[NewEvent]) -> LogHead:
    """Give the events the log's next numbers, without gaps; return the log's new head."""
    if not events:
        return head
    rows = [_row(i, event) for i, event in enumerate(events, start=1)]
    execute(conn, "append_events", session_id=head.session_id, count=len(rows), events=jsonb(rows))
    grown = replace(head, last_seq=head.last_seq + len(rows))
    record_change(head.session_id, grown.last_seq)
    return grown


def append_of_worker(conn: Conn, session_id: UUID, type_: str, data: Json) -> None:
    """Append an event of the session's worker, as one of its live run, if any: a run's own events end with it."""
    head = hold_session(conn, session_id)
    append(conn, head, [NewEvent(type=type_, data=data, run_id=head.run_id)])


def record_change(session_id: UUID, last_seq: int) -> None:
    """Tell an enclosing `record_changes` that the session has changed, and where its log ends."""
    noted = _noted.get(None)
    if noted is not None:
        noted[session_id] = last_seq


@contextmanager
def record_changes() -> Iterator[dict[UUID, int]]:
    """Yield the heads (last_seq by session) of the logs of sessions that verbs change inside the block.

    The API wraps it around a transaction and notifies readers after the commit, so no verb passes heads along.
    """
    noted: dict[UUID, int] = {}
    token = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(token)


def session_events(conn: Conn, session_id: UUID, *, after: int, limit: int) -> RowPage[Envelope]:
    """Return the session's events with a number above `after`, in order, at most `limit`."""
    rows = fetch_page(
        conn, "session_events_after", EventRow, bodies=BODIES, session_id=session_id, after=after, limit=limit
    )
    return rows.shown(envelope)


def session_events_before(conn: Conn, session_id: UUID, *, before: int, limit: int) -> RowPage[Envelope]:
    """Events of the session with a number below `before`, newest first, at most `limit`."""
    rows = fetch_page(
        conn, "session_events_before", EventRow, bodies=BODIES, session_id=session_id, before=before, limit=limit
    )
    return rows.shown(envelope)


def session_event(conn: Conn, session_id: UUID, *, seq: int) -> Envelope:
    """One event, whole. Raises NotFound."""
    row = fetch_one(conn, "session_event", EventRow, session_id=session_id, seq=seq)
    if row is None:
        raise NotFound("The session has no such event.", code="unknown_event")
    return envelope(row)


@dataclass(frozen=True)
class WrittenEvents:
    """A session's events in order, each as its readers get it: the JSON of its Envelope. A log has no gaps, so the
    first number implies the others. `is_full`: more may follow."""

    first_seq: int = 0
    json: Sequence[bytes] = ()
    is_full: bool = False

    @property
    def last_seq(self) -> int:
        """The number of the last event; `first_seq` - 1 without events."""
        return self.first_seq + len(self.json) - 1


def written_events(conn: Conn, session_id: UUID, *, after: int, limit: int) -> WrittenEvents:
    """Return the session's events with a number above `after`, at most `limit`, which is at most 3,072.

    They end early, about where they reach PAGE_BYTES. FEW_EVENTS are not measured.
    """
    within = None if limit <= FEW_EVENTS else _within_bytes(conn, session_id, after=after, limit=limit)
    with conn.cursor() as cursor:
        parameters = {"session_id": session_id, "after": after, "limit": limit if within is None else within}
        texts: list[tuple[int, str]] = cursor.execute(queries()["written_events_after"], parameters).fetchall()
    events = [line for _, lines in sorted(texts) for line in lines.encode().split(b"\n")]
    return WrittenEvents(after + 1, events, is_full=within is not None or len(events) == limit)


def _within_bytes(conn: Conn, session_id: UUID, *, after: int, limit: int) -> int | None:
    """Count the next events that PAGE_BYTES leave room for; None when those are all."""
    count: int | None = fetch_value(
        conn, "events_within_bytes", session_id=session_id, after=after, limit=limit, page_bytes=PAGE_BYTES
    )
    return count


def run_events(conn: Conn, run_id: UUID, *, after: int, limit: int) -> RowPage[Envelope]:
    """Return a run's events with a number above `after`, in order, at most `limit`."""
    rows = fetch_page(conn, "run_events_after", EventRow, bodies=BODIES, run_id=run_id, after=after, limit=limit)
    return rows.shown(envelope)


def last_seqs(conn: Conn, session_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return the number of the last event of each session."""
    heads = fetch_all(conn, "last_seqs", _LastSeq, session_ids=list(session_ids))
    return {head.session_id: head.last_seq for head in heads}


@dataclass(frozen=True)
class _LastSeq:
    session_id: UUID
    last_seq: int


def send_notifications(conn: Conn, heads: Mapping[UUID, int], *more: str) -> None:
    """NOTIFY listeners of the logs' heads and of `more` texts, with one statement and many heads per payload.

    Use a separate connection, never a transaction that others wait for.
    """
    hints = [f"{session_id}:{seq}" for session_id, seq in heads.items()]
    payloads = [" ".join(hints[i : i + LOGS_PER_PAYLOAD]) for i in range(0, len(hints), LOGS_PER_PAYLOAD)]
    execute(conn, "notify_readers", payloads=[*payloads, *more])


def read_notifications(payload: str) -> dict[UUID, int]:
    """Return the heads in a payload; skip words that only another version understands."""
    heads = {}
    for hint in payload.split():
        session_id, _, seq = hint.partition(":")
        with suppress(ValueError):
            heads[UUID(session_id)] = int(seq)
    return heads


def envelope(row: EventRow) -> Envelope:
    return Envelope(
        seq=row.seq,
        id=row.id,
        session_id=row.session_id,
        run_id=row.run_id,
        attempt=row.attempt,
        author=row.author,
        type=row.type,
        at=row.at,
        late=row.late or None,
        data=row.data,
    )


def _row(i: int, event: NewEvent) -> Json:
    return {
        "i": i,
        "id": str(event.id or uuid4()),
        "run_id": event.run_id and str(event.run_id),
        "attempt": event.attempt,
        "n": event.n,
        "author": event.author,
        "type": event.type,
        "at": event.at and event.at.isoformat(),
        "late": event.late,
        "data": event.data,
    }

"""Pages of a session's log as WebSocket frames, made once for all their readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from psycopg.errors import ProgramLimitExceeded

from functions.runtime.database import Database
from functions.runtime.socket_peer import frame_head
from handlers.event_log import WrittenEvents, written_events

PAGE = 200
SMALLEST_PAGE, LARGEST_PAGE, PAGE_BYTES = 10, 3000, 1024 * 1024
PIECE_BYTES = 65_536
KIND = b'{"kind":"event",'


@dataclass(frozen=True)
class Piece:
    """Frames of the events up to `last_seq` that leave together."""

    frames: bytes
    last_seq: int


@dataclass(frozen=True)
class FramePage:
    """Events in order. `is_full`: more may exist already. `next_limit` is the size of page that suits them."""

    written: WrittenEvents
    pieces: Sequence[Piece]
    size: int
    is_full: bool
    next_limit: int

    @property
    def last_seq(self) -> int:
        return self.written.last_seq

    def pieces_after(self, seq: int) -> Sequence[Piece]:
        """Return the pieces of the events with a number above `seq`."""
        if seq < self.written.first_seq:
            return self.pieces
        first = seq + 1
        return pieces(WrittenEvents(first, self.written.json[first - self.written.first_seq :]))


def read_page(database: Database, session_id: UUID, *, after: int, limit: int) -> FramePage:
    """Read a page, a smaller one where PostgreSQL cannot make it. Raises OperationalError without a database."""
    try:
        written = database.call_alone(partial(written_events, session_id=session_id, after=after, limit=limit))
    except ProgramLimitExceeded:  # PostgreSQL makes a page as one text, below 1 GB
        if limit == SMALLEST_PAGE:
            raise
        return read_page(database, session_id, after=after, limit=SMALLEST_PAGE)
    made = pieces(written)
    return FramePage(
        written=written,
        pieces=made,
        size=sum(len(piece.frames) for piece in made),
        is_full=written.is_full,
        next_limit=next_limit(written.json, limit),
    )


def next_limit(written: Sequence[bytes], limit: int) -> int:
    """Choose a page of about PAGE_BYTES, going by the events just read."""
    if not written:
        return limit
    size = max(1, sum(map(len, written)) // len(written))
    return max(SMALLEST_PAGE, min(LARGEST_PAGE, PAGE_BYTES // size))


def pieces(written: WrittenEvents) -> list[Piece]:
    """Return the events as pieces of about PIECE_BYTES; a larger event is a piece of its own."""
    made: list[Piece] = []
    begin, size = 0, 0
    for i, event in enumerate(written.json):
        if size and size + len(event) > PIECE_BYTES:
            made.append(Piece(frames(written.json[begin:i]), written.first_seq + i - 1))
            begin, size = i, 0
        size += len(event)
    if size:
        made.append(Piece(frames(written.json[begin:]), written.last_seq))
    return made


def frames(events: Sequence[bytes]) -> bytes:
    """Return a text message for each event, given as JSON."""
    heads = {size: frame_head(size + len(KIND) - 1) + KIND for size in set(map(len, events))}
    return b"".join([part for json in events for part in (heads[len(json)], json[1:])])

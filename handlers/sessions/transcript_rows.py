"""Keep transcripts in tables: the job worker folds logs ahead of readers, who fold only the rest.

An item's row is written again only when a later event changes it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from handlers.event_log import written_events
from handlers.sessions.transcript import VERSION, Event, Transcript, event_of, is_open, needed, restored
from handlers.sessions.transcript_cut import cut_item
from handlers.sessions.transcript_fold import fold
from schema.row_pages import RowPage, fetch_page
from schema.sql import Conn, execute, fetch_all, fetch_one, jsonb
from schema.wire import Json

BATCH = 2000
"""Events that a reader or one transaction of the job worker folds at most; fewer where they are large."""
SESSIONS = 20
_USER = re.compile(r"user:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


@dataclass(frozen=True)
class TranscriptPage:
    """Items in order. Events after `seq` are not in them. `prev_cursor` is the next page's `before`, None at the log's
    beginning. `users` maps the users whom the items mention to their names."""

    items: list[Json]
    users: dict[UUID, str]
    seq: int
    prev_cursor: int | None


def transcript_page(conn: Conn, session_id: UUID, *, before: int | None, limit: int) -> TranscriptPage:
    """Return the newest items that begin before an event. Use a repeatable-read transaction."""
    head = fetch_one(conn, "transcript_head", _Head, session_id=session_id, version=VERSION) or _Head()
    transcript, _ = _continued(conn, session_id, head)
    end = transcript.seq + 1 if before is None else before
    stored = _stored_before(conn, session_id, end, limit=limit + 1 if head.seq else 0)
    begin = stored[-1]["firstSeq"] if stored.is_full and stored else 0
    items = {item["firstSeq"]: item for item in stored}
    items |= {item["firstSeq"]: item for item in _changed(transcript) if begin <= item["firstSeq"] < end}
    newest = sorted(items, reverse=True)
    shown = [items[first_seq] for first_seq in reversed(newest[:limit])]
    prev_cursor = shown[0]["firstSeq"] if len(newest) > limit or begin else None
    return TranscriptPage(shown, _users(conn, shown), transcript.seq, prev_cursor)


def unfolded_sessions(conn: Conn) -> list[UUID]:
    """Return sessions whose logs the job worker should fold, at most a few."""
    rows = fetch_all(conn, "unfolded_sessions", _Session, limit=SESSIONS, ahead=BATCH, version=VERSION)
    return [row.session_id for row in rows]


def fold_log(conn: Conn, session_id: UUID) -> bool:
    """Fold the next BATCH events of the session's log and store the items. Return whether events may remain.

    Do nothing while another job worker folds this log.
    """
    execute(conn, "begin_transcript", session_id=session_id, version=VERSION, state=jsonb(Transcript().state()))
    head = fetch_one(conn, "lock_transcript", _LockedHead, session_id=session_id)
    if head is None or head.version > VERSION:
        return False
    if head.version < VERSION:
        execute(conn, "drop_transcript_items", session_id=session_id)
    begun = _Head(head.seq, head.state) if head.version == VERSION else _Head()
    transcript, may_remain = _continued(conn, session_id, begun)
    _store(conn, session_id, transcript)
    execute(conn, "mark_runs_folded", session_id=session_id, seq=transcript.seq)
    return may_remain


@dataclass(frozen=True)
class _Head:
    seq: int = 0
    state: Json | None = None


@dataclass(frozen=True)
class _LockedHead:
    seq: int
    state: Json
    version: int


@dataclass(frozen=True)
class _Session:
    session_id: UUID


@dataclass(frozen=True)
class _Item:
    item: Json


@dataclass(frozen=True)
class _User:
    id: UUID
    name: str


def _continued(conn: Conn, session_id: UUID, head: _Head) -> tuple[Transcript, bool]:
    """Fold the next events; return also whether more may remain."""
    written = written_events(conn, session_id, after=head.seq, limit=BATCH)
    events = [event_of(json.loads(line)) for line in written.json]
    begun = restored(head.seq, head.state or Transcript().state(), _needed(conn, session_id, head, events))
    return fold(begun, events), written.is_full


def _needed(conn: Conn, session_id: UUID, head: _Head, events: list[Event]) -> list[Json]:
    if head.seq == 0 or not events:
        return []
    return _rows(conn, "transcript_items_needed", session_id, digests=[_digest(id_) for id_ in needed(events)])


def _stored_before(conn: Conn, session_id: UUID, before: int, *, limit: int) -> RowPage[Json]:
    """Return the stored items that begin before an event, newest first."""
    rows = fetch_page(
        conn, "transcript_items_before", _Item, bodies=("item",), session_id=session_id, before=before, limit=limit
    )
    return rows.shown(lambda row: row.item)


def _rows(conn: Conn, name: str, session_id: UUID, **params: object) -> list[Json]:
    return [row.item for row in fetch_all(conn, name, _Item, session_id=session_id, **params)]


def _changed(transcript: Transcript) -> list[Json]:
    return [cut_item(transcript.items[id_]) for id_ in transcript.changed]


def _store(conn: Conn, session_id: UUID, transcript: Transcript) -> None:
    items = _changed(transcript)
    execute(
        conn,
        "put_transcript_items",
        session_id=session_id,
        first_seqs=[item["firstSeq"] for item in items],
        digests=[_digest(item["id"]) for item in items],
        are_open=[is_open(item) for item in items],
        items=[jsonb(item) for item in items],
    )
    execute(
        conn,
        "move_transcript",
        session_id=session_id,
        seq=transcript.seq,
        state=jsonb(transcript.state()),
        version=VERSION,
    )


def _digest(id_: str) -> bytes:
    return hashlib.sha256(id_.encode()).digest()


def _users(conn: Conn, items: Iterable[Json]) -> dict[UUID, str]:
    said = [str(item.get(key)) for item in items for key in ("author", "by")]
    ids = {UUID(match[1]) for author in said if (match := _USER.fullmatch(author))}
    return {user.id: user.name for user in fetch_all(conn, "user_names", _User, user_ids=list(ids))} if ids else {}

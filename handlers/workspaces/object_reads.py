"""Know which stored objects were read lately, and tell what was wrong with them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from handlers.event_log import append_of_worker
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_value

SNAPSHOTS_NAMED = 10

ObjectFault = Literal["missing", "altered", "unreadable"]
"""`unreadable`: the store answers, but does not deliver this object."""


@dataclass(frozen=True)
class ObjectToRead:
    """An object that snapshots name. `manifest_digest` is a manifest's SHA-256; other keys end with their own."""

    session_id: UUID
    key: str
    manifest_digest: str | None

    @property
    def digest(self) -> str:
        return self.manifest_digest or self.key.rpartition("/")[2]


@dataclass(frozen=True)
class _Recorded:
    is_new: bool | None


@dataclass(frozen=True)
class _Session:
    session_id: UUID


@dataclass(frozen=True)
class _Number:
    number: int


def sessions_to_look_at(conn: Conn, *, pass_seconds: float) -> list[UUID]:
    """Return the sessions whose objects a pass counts anew when passes begin every `pass_seconds`."""
    return [row.session_id for row in fetch_all(conn, "sessions_to_look_at", _Session, pass_seconds=pass_seconds)]


def look_at_objects(conn: Conn, session_id: UUID) -> None:
    """Count the objects of a session, and note how long the one that waits longest has waited."""
    execute(conn, "look_at_objects", session_id=session_id)


def share_of_pass(conn: Conn, *, days: float, pass_seconds: float) -> int:
    """Return how many objects a pass reads at most, so that each is read within three quarters of `days`."""
    return int(fetch_value(conn, "share_of_pass", days=days, pass_seconds=pass_seconds) or 0)


def session_to_read(conn: Conn, *, days: float) -> UUID | None:
    """Return the session with the object that waits longest; None when no object was unread for half of `days`."""
    found = fetch_one(conn, "session_to_read", _Session, days=days)
    return None if found is None else found.session_id


def objects_to_read(conn: Conn, session_id: UUID, *, days: float, limit: int) -> list[ObjectToRead]:
    """Return the objects of a session that were not read for half of `days`, those that waited longest first."""
    return fetch_all(conn, "objects_to_read", ObjectToRead, session_id=session_id, days=days, limit=limit)


def faulty_objects_to_read(conn: Conn) -> list[ObjectToRead]:
    """Return the objects whose fault was not looked at for an hour."""
    return fetch_all(conn, "faulty_objects_to_read", ObjectToRead)


def forget_object_reads(conn: Conn, session_id: UUID) -> None:
    """Forget the objects of a session that no snapshot names any more."""
    execute(conn, "forget_object_reads", session_id=session_id)


def record_object_read(conn: Conn, read: ObjectToRead, fault: ObjectFault | None) -> bool:
    """Record what was read, and return whether it is a fault that was not known. No snapshot may name the object by
    now; then nothing is recorded."""
    recorded = fetch_one(conn, "record_object_read", _Recorded, session_id=read.session_id, key=read.key, fault=fault)
    return recorded is not None and fault is not None and recorded.is_new is True


def warn_of_faults(conn: Conn, session_id: UUID, keys: Collection[str]) -> None:
    """Warn in the session of new faults: which of its snapshots need these objects."""
    rows = fetch_all(conn, "snapshots_that_name", _Number, session_id=session_id, keys=list(keys))
    if not rows:
        return
    named = [str(row.number) for row in rows[-SNAPSHOTS_NAMED:]]
    more = f" and {len(rows) - len(named)} earlier ones" if len(rows) > len(named) else ""
    message = (
        f"{len(keys)} saved objects of this session are missing, altered or unreadable in the object store. Snapshots "
        f"that cannot be restored in full: {', '.join(named)}{more}. Ask an operator to bring the "
        "objects back from a backup."
    )
    append_of_worker(conn, session_id, "run.warning", {"code": "saved_objects_damaged", "message": message})

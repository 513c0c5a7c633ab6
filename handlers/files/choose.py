"""Choose the snapshot whose files a call reads: the newest, a named one, or a run's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from handlers.access.permissions import Actor, session_for
from schema.errors import NotFound
from schema.rows import SnapshotRow, UserRow
from schema.sql import Conn, fetch_all, fetch_one


@dataclass(frozen=True)
class ListedSession:
    """A session as a folder of its owner."""

    id: UUID
    title: str
    updated_at: datetime


@dataclass(frozen=True)
class _RunEnd:
    is_end: bool


def snapshot_to_read(
    conn: Conn, actor: Actor, session_id: UUID, *, snapshot_id: UUID | None = None, run_id: UUID | None = None
) -> SnapshotRow:
    """Return the named snapshot, the run's, or the newest. Raises NotFound, also when nothing is saved yet."""
    session_for(conn, actor, session_id)
    if snapshot_id is not None:
        found = fetch_one(conn, "snapshot", SnapshotRow, session_id=session_id, snapshot_id=snapshot_id)
    elif run_id is not None:
        found = fetch_one(conn, "snapshot_of_run", SnapshotRow, session_id=session_id, run_id=run_id)
    else:
        found = fetch_one(conn, "newest_snapshot", SnapshotRow, session_id=session_id)
    if found is None:
        raise NotFound("The session has no such saved state of its files.", code="unknown_snapshot")
    return found


def shows_run_end(conn: Conn, run_id: UUID, snapshot: SnapshotRow) -> bool:
    """Tell whether the snapshot holds the run's own end. Without one, a run shows its last save before its end."""
    found = fetch_one(conn, "holds_run_end", _RunEnd, run_id=run_id, snapshot_id=snapshot.id)
    return found is not None and found.is_end


def snapshot_of_side(conn: Conn, actor: Actor, session_id: UUID, side: UUID) -> SnapshotRow:
    """Return the snapshot of a comparison's side, the id of a run or of a snapshot. Raises NotFound."""
    try:
        return snapshot_to_read(conn, actor, session_id, run_id=side)
    except NotFound:
        return snapshot_to_read(conn, actor, session_id, snapshot_id=side)


def session_folders(conn: Conn, actor: Actor, user_id: UUID, *, after: UUID | None, limit: int) -> list[ListedSession]:
    """A page of the user's sessions. Raises NotFound for another user unless the actor is an admin, and for none."""
    _may_see_user(conn, actor, user_id)
    return fetch_all(conn, "session_folders", ListedSession, user_id=user_id, after=after, limit=limit)


def session_of_user(conn: Conn, actor: Actor, user_id: UUID, session_id: UUID) -> None:
    """Raises NotFound unless the session is the user's and the actor may see it."""
    _may_see_user(conn, actor, user_id)
    if session_for(conn, actor, session_id).owner_id != user_id:
        raise NotFound("There is no such session.", code="unknown_session")


def _may_see_user(conn: Conn, actor: Actor, user_id: UUID) -> None:
    is_seen = actor.user_id == user_id or (
        actor.role == "admin" and fetch_one(conn, "user_by_id", UserRow, user_id=user_id) is not None
    )
    if not is_seen:
        raise NotFound("There is no such user.", code="unknown_user")

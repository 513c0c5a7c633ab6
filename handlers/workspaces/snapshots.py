"""Show a session's snapshots and restores to users who may see the session, and tell which end of a run is saved."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from handlers.access.permissions import Actor, session_for
from schema.errors import NotFound
from schema.rows import RestoreRow, SnapshotRow
from schema.sql import Conn, fetch_all, fetch_one


def snapshots_of(
    conn: Conn, actor: Actor, session_id: UUID, *, before: tuple[str, UUID] | None, limit: int
) -> list[SnapshotRow]:
    """Newest first; `before` is the (createdAt, id) of the previous page's last snapshot. Raises NotFound."""
    session_for(conn, actor, session_id)
    at, last_id = before or (None, None)
    return fetch_all(
        conn, "snapshots_of_session", SnapshotRow, session_id=session_id, before_at=at, before_id=last_id, limit=limit
    )


def snapshot_for(conn: Conn, actor: Actor, session_id: UUID, snapshot_id: UUID) -> SnapshotRow:
    """Return the snapshot. Raises NotFound."""
    session_for(conn, actor, session_id)
    snapshot = fetch_one(conn, "snapshot", SnapshotRow, session_id=session_id, snapshot_id=snapshot_id)
    if snapshot is None:
        raise NotFound("The session has no such snapshot.", code="unknown_snapshot")
    return snapshot


def restores_of(
    conn: Conn, actor: Actor, session_id: UUID, *, before: tuple[str, UUID] | None, limit: int
) -> list[RestoreRow]:
    """Newest first; `before` is the (startedAt, id) of the previous page's last restore. Raises NotFound."""
    session_for(conn, actor, session_id)
    at, last_id = before or (None, None)
    return fetch_all(
        conn, "restores_of_session", RestoreRow, session_id=session_id, before_at=at, before_id=last_id, limit=limit
    )


@dataclass(frozen=True)
class _SavedEnd:
    run_id: UUID


def saved_end(conn: Conn, session_id: UUID) -> UUID | None:
    """Return the last ended run whose end the newest snapshot holds. An executor cannot see commits, and keeps the end
    of a run until it learns this."""
    found = fetch_one(conn, "saved_end", _SavedEnd, session_id=session_id)
    return None if found is None else found.run_id

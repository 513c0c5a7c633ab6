"""Find changes that have waited too long for a sync, for the reconciler."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from schema.sql import Conn, fetch_all


@dataclass(frozen=True)
class OverdueSync:
    """A session with overdue changes, and the state of its sync."""

    session_id: UUID
    failures: int
    error: str | None
    next_sync_at: datetime | None
    is_syncing: bool


@dataclass(frozen=True)
class _Session:
    session_id: UUID


def overdue_syncs(conn: Conn, *, dirty_seconds: float, limit: int = 500) -> list[OverdueSync]:
    """Return sessions whose changes have been unsaved for longer than `dirty_seconds`."""
    return fetch_all(conn, "overdue_syncs", OverdueSync, dirty_seconds=dirty_seconds, limit=limit)


def make_due(conn: Conn, session_ids: Collection[UUID]) -> set[UUID]:
    """Make the sessions' syncs due now, unless a time is set; return the sessions that were changed."""
    return {row.session_id for row in fetch_all(conn, "make_due", _Session, session_ids=list(session_ids))}

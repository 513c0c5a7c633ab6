"""Tell whether a session's files can be read live."""

from __future__ import annotations

from uuid import UUID

from schema.sql import Conn, fetch_value


def has_live_files(conn: Conn, session_id: UUID) -> bool:
    """Whether the session has a worker at work, whose workspace is restored."""
    return bool(fetch_value(conn, "has_live_files", session_id=session_id))


def has_unsaved_files(conn: Conn, session_id: UUID) -> bool:
    """Whether a worker at work may hold changes that no snapshot has."""
    return bool(fetch_value(conn, "has_unsaved_files", session_id=session_id))

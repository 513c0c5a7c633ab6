"""Write and list who looked at which files. Rows are never changed, and deleted only when they are old."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from schema.sql import Conn, execute, fetch_all, fetch_value


@dataclass(frozen=True)
class FileAccess:
    """A call about files. `allowed`: the user may see the session; `bytes`: those of files that the answer sends."""

    action: str
    user_id: UUID | None = None
    session_id: UUID | None = None
    snapshot_id: UUID | None = None
    root: str | None = None
    path: str | None = None
    files: int | None = None
    bytes: int | None = None
    allowed: bool = False
    reason: str = "ok"


@dataclass(frozen=True)
class FileAccessRow:
    """A written call with its time and its user's name, None for somebody who did not sign in."""

    id: UUID
    at: datetime
    user_id: UUID | None
    user_name: str | None
    action: str
    session_id: UUID | None
    snapshot_id: UUID | None
    root: str | None
    path: str | None
    files: int | None
    bytes: int | None
    allowed: bool
    reason: str


@dataclass(frozen=True)
class AuditFilter:
    """Which calls to list; None does not filter. `text` is a part of the path in any case."""

    user_id: UUID | None = None
    session_id: UUID | None = None
    action: str | None = None
    allowed: bool | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def record_file_access(conn: Conn, access: FileAccess) -> None:
    execute(conn, "insert_file_audit", **vars(access))


def file_audit(conn: Conn, chosen: AuditFilter, *, before: tuple[str, UUID] | None, limit: int) -> list[FileAccessRow]:
    """A page of calls, newest first; `before` is the (at, id) of the previous page's last one."""
    at, last_id = before or (None, None)
    return fetch_all(
        conn, "file_audit_page", FileAccessRow, **vars(chosen), before_at=at, before_id=last_id, limit=limit
    )


def delete_old_file_audit(conn: Conn, *, days: int, most: int) -> int:
    """Delete at most so many rows older than `days`, at least 7, the oldest first. Return how many were deleted."""
    return int(fetch_value(conn, "delete_old_file_audit", days=days, most=most))

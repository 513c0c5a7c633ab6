"""Store session workers: each executor's address, its epoch, and the worker's status."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from schema.rows import WorkerRow, WorkerStatus
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_value, jsonb
from schema.wire import Json


@dataclass(frozen=True)
class LiveSession:
    """A session whose live run an executor has taken."""

    session_id: UUID
    epoch: int


def hold_worker(conn: Conn, session_id: UUID) -> None:
    """Lock this session's worker against concurrent starts, stops and removals. The lock lasts until the connection
    closes, so it spans slow work without a transaction. Raises psycopg's LockNotAvailable after its lock_timeout."""
    fetch_value(conn, "hold_worker", session_id=session_id)


def worker_lost(conn: Conn, session_id: UUID, *, epoch: int, error: str) -> None:
    """Record that the executor process is gone, or never started; `error` is a sentence."""
    execute(conn, "worker_lost", session_id=session_id, epoch=epoch, error=error)


def worker_changed(conn: Conn, session_id: UUID, *, epoch: int, status: WorkerStatus, error: str | None = None) -> bool:
    """Record the worker's status under the worker's lock. Return False when the session has a newer epoch."""
    touched = execute(conn, "worker_changed", session_id=session_id, epoch=epoch, status=status, error=error)
    return touched == 1


def worker_of(conn: Conn, session_id: UUID) -> WorkerRow | None:
    return fetch_one(conn, "worker", WorkerRow, session_id=session_id)


def live_sessions(conn: Conn, *, lease_left: float | None = None) -> list[LiveSession]:
    """Return sessions whose executors must live, because they have a run.

    With `lease_left` return only those whose lease ends within so many seconds: their executor has been quiet since.
    """
    return fetch_all(conn, "live_sessions", LiveSession, lease_left=lease_left)


def announce_presence(conn: Conn, claimer: str) -> bool:
    """Hold the presence mark of this job worker until the connection closes; return False if another holds it.

    `claimer` is the text that the job worker writes into `claimed_by` of the runs that it claims.
    """
    return bool(fetch_value(conn, "announce_presence", claimer=claimer))


def audit(conn: Conn, *, actor: str, action: str, session_id: UUID | None, detail: Json) -> None:
    """Record a forced action; `actor` is the name that people know."""
    execute(conn, "insert_audit", actor=actor, action=action, session_id=session_id, detail=jsonb(detail))


def delete_old_audit_log(conn: Conn, *, days: int, most: int) -> int:
    """Delete those of the `most` oldest rows that are older than so many days. Return how many."""
    return int(fetch_value(conn, "delete_old_audit_log", days=days, most=most))

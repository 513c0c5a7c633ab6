"""Session workers as rows: where a session's executor answers, in which epoch, and what became of it."""

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
    """Wait until nobody else starts, stops or removes this session's worker. Held until the connection closes, so that
    it spans slow work without a transaction; psycopg's LockNotAvailable when the connection's lock_timeout is over."""
    fetch_value(conn, "hold_worker", session_id=session_id)


def worker_lost(conn: Conn, session_id: UUID, *, epoch: int, error: str) -> None:
    """Its process is gone, or never came up; `error` is a sentence."""
    execute(conn, "worker_lost", session_id=session_id, epoch=epoch, error=error)


def worker_changed(conn: Conn, session_id: UUID, *, epoch: int, status: WorkerStatus, error: str | None = None) -> bool:
    """Whoever says so holds the worker's lock. False when the session has a newer epoch."""
    touched = execute(conn, "worker_changed", session_id=session_id, epoch=epoch, status=status, error=error)
    return touched == 1


def worker_of(conn: Conn, session_id: UUID) -> WorkerRow | None:
    return fetch_one(conn, "worker", WorkerRow, session_id=session_id)


def live_sessions(conn: Conn) -> list[LiveSession]:
    """Sessions whose executors must live, because they have a run in hand."""
    return fetch_all(conn, "live_sessions", LiveSession)


def announce_presence(conn: Conn, claimer: str) -> bool:
    """Hold the mark that this job worker lives, for as long as the connection does; False if another holds it.

    `claimer` is what it writes into `claimed_by` of the runs that it claims.
    """
    return bool(fetch_value(conn, "announce_presence", claimer=claimer))


def audit(conn: Conn, *, actor: str, action: str, session_id: UUID | None, detail: Json) -> None:
    """Write down what somebody insisted on; `actor` as people know them."""
    execute(conn, "insert_audit", actor=actor, action=action, session_id=session_id, detail=jsonb(detail))

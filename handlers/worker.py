"""Session workers as rows: where a session's executor answers, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from schema.rows import WorkerRow
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_value


@dataclass(frozen=True)
class LiveSession:
    """A session whose live run an executor has taken."""

    session_id: UUID
    epoch: int


def hold_worker(conn: Conn, session_id: UUID) -> None:
    """Wait until nobody else starts or stops this session's worker. Held until the connection closes, so that it spans
    slow work without a transaction; psycopg's LockNotAvailable when the connection's lock_timeout is over."""
    fetch_value(conn, "hold_worker", session_id=session_id)


def worker_starting(conn: Conn, session_id: UUID, *, epoch: int, host: str) -> None:
    execute(conn, "worker_starting", session_id=session_id, epoch=epoch, host=host)


def worker_active(conn: Conn, session_id: UUID, *, epoch: int, base_url: str) -> None:
    execute(conn, "worker_active", session_id=session_id, epoch=epoch, base_url=base_url)


def worker_lost(conn: Conn, session_id: UUID, *, epoch: int, error: str) -> None:
    """Its process is gone, or never came up; `error` is a sentence."""
    execute(conn, "worker_lost", session_id=session_id, epoch=epoch, error=error)


def worker_stopped(conn: Conn, session_id: UUID) -> None:
    """It ended by itself when it had nothing to do; its folder stays."""
    execute(conn, "worker_stopped", session_id=session_id)


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

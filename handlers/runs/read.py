"""Read runs and sessions for users who may see them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from handlers.access.permissions import Actor, session_for
from handlers.sessions.overview import SessionOverview, overview_of
from schema.errors import NotFound
from schema.row_pages import RowPage, fetch_page
from schema.rows import HumanRequestRow, RunRow, SessionRow
from schema.sql import Conn, fetch_all, fetch_one, fetch_value


@dataclass(frozen=True)
class SessionState:
    """A session at one moment; later events follow `session.last_seq` in its log."""

    session: SessionOverview
    runs: list[RunRow]
    requests: list[HumanRequestRow]


def run_for(conn: Conn, actor: Actor, run_id: UUID) -> RunRow:
    """Return the run if the actor may see its session. Raises NotFound."""
    run = fetch_one(conn, "run_by_id", RunRow, run_id=run_id)
    if run is None:
        raise NotFound("There is no such run.", code="unknown_run")
    try:
        session_for(conn, actor, run.session_id)
    except NotFound:
        raise NotFound("There is no such run.", code="unknown_run") from None
    return run


def queue_position(conn: Conn, run: RunRow) -> int:
    """Count the session's runs before this run; 0 for the next run and for runs that are not queued."""
    position: int = fetch_value(conn, "queue_position", run_id=run.id)
    return position


def sessions_of(conn: Conn, actor: Actor, *, before: tuple[str, UUID] | None, limit: int) -> list[SessionRow]:
    """Return the actor's sessions, newest first; `before` is the (createdAt, id) of the previous page's last one."""
    at, last_id = before or (None, None)
    return fetch_all(
        conn, "sessions_of_owner", SessionRow, owner_id=actor.user_id, before_at=at, before_id=last_id, limit=limit
    )


def runs_of(conn: Conn, session_id: UUID, *, before: tuple[str, UUID] | None, limit: int) -> RowPage[RunRow]:
    """Return the session's runs, newest first; `before` as in sessions_of."""
    at, last_id = before or (None, None)
    return fetch_page(
        conn,
        "runs_of_session",
        RunRow,
        bodies=("prompt", "options", "warnings"),
        session_id=session_id,
        before_at=at,
        before_id=last_id,
        limit=limit,
    )


def session_state(conn: Conn, actor: Actor, session_id: UUID) -> SessionState:
    """Return the session's state. Use a repeatable-read transaction, so that all parts match its `last_seq`."""
    session = overview_of(conn, actor, session_id)
    runs = fetch_all(conn, "runs_of_session", RunRow, session_id=session_id, before_at=None, before_id=None, limit=20)
    requests = [
        request
        for run in runs
        if not run.is_final
        for request in fetch_all(conn, "open_human_requests_of_run", HumanRequestRow, run_id=run.id)
    ]
    return SessionState(session=session, runs=runs, requests=requests)

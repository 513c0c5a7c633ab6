"""Open, rename and delete sessions for their owners."""

from __future__ import annotations

from uuid import UUID

from handlers.access.permissions import Actor, session_for
from handlers.apps.apps import app_by_id, app_named
from handlers.event_log import hold_session, record_change
from handlers.sessions.create import create_session
from schema.errors import NotFound, SessionBusy
from schema.rows import RunRow, SessionRow
from schema.sql import Conn, execute, fetch_all, fetch_value
from schema.worker_limits import WorkerLimits, read_limits


def open_session(conn: Conn, actor: Actor, *, title: str, app_id: UUID | None = None) -> SessionRow:
    """Open an empty session of the app, or of the default app. Raises NotFound for an unknown app."""
    app = app_named(conn, "default") if app_id is None else app_by_id(conn, app_id)
    session = create_session(conn, actor, app, title=title)
    record_change(session.id, session.last_seq)
    return session


def rename_session(conn: Conn, actor: Actor, session_id: UUID, *, title: str) -> SessionRow:
    session_for(conn, actor, session_id)
    if not execute(conn, "rename_session", session_id=session_id, title=title):
        raise NotFound("There is no such session.", code="unknown_session")
    session = session_for(conn, actor, session_id)
    record_change(session.id, session.last_seq)
    return session


def delete_session(conn: Conn, actor: Actor, session_id: UUID) -> None:
    """Hide the session from everyone; keep its rows. Raises SessionBusy while one of its runs has not ended."""
    session_for(conn, actor, session_id)
    head = hold_session(conn, session_id)
    unsettled = fetch_all(conn, "unsettled_runs_of_session", RunRow, session_id=session_id)
    if unsettled:
        raise SessionBusy("The session has a run that has not ended: stop it first.", runId=str(unsettled[0].id))
    execute(conn, "delete_session", session_id=session_id)
    record_change(session_id, head.last_seq)


def worker_limits(conn: Conn, session_id: UUID) -> WorkerLimits:
    """Return the worker limits of the session's app."""
    return read_limits(fetch_value(conn, "worker_limits", session_id=session_id))

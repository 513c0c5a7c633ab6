"""Create a session and its empty log."""

from __future__ import annotations

from handlers.access.permissions import Actor
from schema.rows import AppRow, LogHead, SessionRow
from schema.sql import Conn, fetch_the

TITLE_LENGTH = 80


def create_session(conn: Conn, actor: Actor, app: AppRow, *, title: str) -> SessionRow:
    """Create an empty session that the actor owns."""
    return fetch_the(conn, "insert_session", SessionRow, owner_id=actor.user_id, app_id=app.id, title=title)


def head_of_new(session: SessionRow) -> LogHead:
    """Return the head of a session created in this transaction; before the commit no other transaction can lock it."""
    return LogHead(session.id, session.last_seq, session.epoch, run_id=None, last_n=0)


def title_of(prompt: str) -> str:
    """Return the prompt's first line, shortened."""
    line = next((line.strip() for line in prompt.splitlines() if line.strip()), "")
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1] + "…"

"""Present session rows as wire answers."""

from __future__ import annotations

from typing import Any

from functions.human_loop.presenters import human_request_answer
from functions.runs.presenters import run_answer
from functions.sessions.schemas import SessionAnswer
from handlers.runs.read import SessionState
from schema.rows import SessionRow


def session_answer(session: SessionRow) -> SessionAnswer:
    return SessionAnswer(
        session_id=session.id,
        title=session.title,
        app_id=session.app_id,
        owner_id=session.owner_id,
        created_at=session.created_at,
        updated_at=session.updated_at,
        last_seq=session.last_seq,
        epoch=session.epoch,
    )


def snapshot_message(state: SessionState) -> dict[str, Any]:
    """Return the first message of a socket that named no cursor."""
    return {
        "kind": "snapshot",
        "session": session_answer(state.session).to_json(),
        "runs": [run_answer(run).to_json() for run in state.runs],
        "requests": [human_request_answer(request).to_json() for request in state.requests],
        "seq": state.session.last_seq,
    }

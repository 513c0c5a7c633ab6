"""Show a session at one moment: what a reader needs before it follows the log."""

from __future__ import annotations

from uuid import UUID

from functions.human_loop.presenters import human_request_answer
from functions.runs.presenters import run_answer
from functions.runs.todos import todo_group_answer
from functions.sessions.presenters import session_answer, transcript_part
from functions.sessions.socket_frames import SnapshotFrame
from handlers.access.permissions import Actor
from handlers.runs.queue import session_queue
from handlers.runs.read import session_state
from handlers.runs.todos import todos_of_session
from handlers.sessions.transcript_rows import transcript_page
from handlers.workers.lifecycle import LifeLimits
from handlers.workers.report import report_worker
from schema.errors import NotFound
from schema.sql import Conn
from schema.worker_api import WorkerReport

ITEMS = 60
QUEUED = 100


def session_snapshot(
    conn: Conn, actor: Actor, session_id: UUID, *, limits: LifeLimits, items: int = ITEMS
) -> SnapshotFrame:
    """Return the first message to a reader that named no cursor. Use a repeatable-read transaction.

    `items` is how many items of the transcript it has at most. `limits` are those of workers whose app sets none.
    Raises NotFound for a session hidden from the actor.
    """
    state = session_state(conn, actor, session_id)
    page = transcript_page(conn, session_id, before=None, limit=items)
    return SnapshotFrame(
        session_id=session_id,
        session=session_answer(state.session),
        runs=[run_answer(run) for run in state.runs],
        requests=[human_request_answer(request) for request in state.requests],
        todos=[todo_group_answer(group) for group in todos_of_session(conn, session_id)],
        queue=session_queue(conn, actor, session_id, after=None, limit=QUEUED).items,
        worker=_worker(conn, session_id, limits),
        transcript=transcript_part(page),
        users=page.users,
        seq=state.session.last_seq,
    )


def _worker(conn: Conn, session_id: UUID, limits: LifeLimits) -> WorkerReport | None:
    try:
        return report_worker(conn, session_id, default=limits)
    except NotFound:
        return None

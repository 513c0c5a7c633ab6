"""Every second: fold the logs of ended runs, and of live ones with many events, into transcripts."""

from __future__ import annotations

from handlers.sessions.transcript_rows import fold_log, unfolded_sessions
from jobs.context import TaskContext
from schema.isolation import isolated


def fold_logs(context: TaskContext) -> None:
    """Fold in batches, each committed. Several job workers may do this at once: each log is folded by one of them."""
    for session_id in context.database.transact(unfolded_sessions):
        with isolated("log.not_folded", sessionId=session_id):
            while context.database.transact(fold_log, session_id) and not context.closing.is_set():
                pass

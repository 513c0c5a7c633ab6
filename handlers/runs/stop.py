"""Stop a run: at once while it is queued or parked, else through its executor, with a deadline."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from handlers.access.permissions import Actor
from handlers.enqueue import defer_stop
from handlers.event_log import NewEvent, append, hold_session, run_event
from handlers.runs.read import run_for
from handlers.runs.settle import cancel
from schema.events import Reason
from schema.rows import RunRow
from schema.sql import Conn, fetch_one


@dataclass(frozen=True)
class StopPolicy:
    """`deadline_seconds`: how long the executor may take; then the run is settled as cancelled without it."""

    deadline_seconds: float


def stop_run(conn: Conn, actor: Actor, run_id: UUID, *, policy: StopPolicy) -> RunRow:
    """Stop the run and return it: cancelling, cancelled, or with the final state that it had already."""
    session_id = run_for(conn, actor, run_id).session_id
    head = hold_session(conn, session_id)
    run = run_for(conn, actor, run_id)
    append(conn, head, stop(conn, run, author=actor.author, policy=policy))
    return run_for(conn, actor, run_id)


def stop(conn: Conn, run: RunRow, *, author: str, policy: StopPolicy, because: Reason | None = None) -> list[NewEvent]:
    """Stop the run; return its events, none if it is stopping or has ended. The caller has locked the session.

    The event carries `because` when somebody other than the session's user stops the run.
    """
    if run.status == "queued":
        message = "The run was stopped before it began." if run.attempt == 0 else "The run was stopped."
        return cancel(conn, run, message=message, author=author, because=because)
    cancelling = fetch_one(conn, "begin_cancelling", RunRow, run_id=run.id, deadline_seconds=policy.deadline_seconds)
    if cancelling is None:
        return []
    if run.status == "parked" and run.lease_expires_at is None:
        return cancel(
            conn, cancelling, message="The run was stopped while it was parked.", author=author, because=because
        )
    if not run.bound:
        defer_stop(conn, run.id)
    reason = {} if because is None else {"reason": because.to_json()}
    data = {"status": "cancelling", "provider": run.provider, **reason}
    return [run_event(run, "run.cancelling", data, author=author)]


def settle_stopped(conn: Conn, run_id: UUID, *, message: str) -> RunRow | None:
    """Settle a stopping run that no executor has as cancelled. Return None if it had ended or is not stopping."""
    run = fetch_one(conn, "run_by_id", RunRow, run_id=run_id)
    if run is None:
        return None
    head = hold_session(conn, run.session_id)
    run = fetch_one(conn, "run_by_id", RunRow, run_id=run_id)
    if run is None or run.status != "cancelling":
        return None
    append(conn, head, cancel(conn, run, message=message))
    return run

"""Park a run that waits for people, so that it holds no worker; resume it when no request is open.

A parked run stays its session's live run, its requests stay open, and its agent ends. `lease_expires_at` of a parked
run means that the agent may still exist; the run resumes only after it is quiesced.
"""

from __future__ import annotations

from uuid import UUID

from handlers.enqueue import defer_park
from handlers.event_log import NewEvent, append, hold_session, run_event
from handlers.runs.settle import can_go_on, start_next, void_taken
from handlers.workspaces.sync import hurry_save
from schema.rows import RunRow
from schema.sql import Conn, execute, fetch_one, fetch_the


def can_park(conn: Conn, run: RunRow) -> bool:
    """Return whether the run could resume later: its conversation can be continued."""
    return not run.bound and can_go_on(conn, run)


def park(conn: Conn, run: RunRow) -> list[NewEvent]:
    """Park the run and enqueue the end of its agent; return `run.parked`, or nothing when the run does not wait. The
    caller has locked the session."""
    if not execute(conn, "park_run", run_id=run.id):
        return []
    defer_park(conn, run.id)
    start_next(conn, run)
    return [run_event(run, "run.parked", {"status": "parked", "provider": run.provider})]


def record_quiesced(conn: Conn, run_id: UUID, *, attempt: int, heard_all: bool) -> None:
    """Record that no agent of the parked run exists any more: its workspace may be synced, its worker stopped.

    `heard_all`: all events of its executor are in the log, so answers given meanwhile reached no agent. Otherwise
    answers that the executor received are void.
    """
    head = hold_session(conn, fetch_the(conn, "run_by_id", RunRow, run_id=run_id).session_id)
    if not execute(conn, "quiesce_run", run_id=run_id, attempt=attempt):
        return
    run = fetch_the(conn, "run_by_id", RunRow, run_id=run_id)
    events = [] if heard_all else void_taken(conn, run, None)
    execute(conn, "take_back_answers", run_id=run_id)
    hurry_save(conn, run.session_id)
    append(conn, head, [*events, *go_on_if_free(conn, run)])


def go_on_if_free(conn: Conn, run: RunRow) -> list[NewEvent]:
    """Resume the run once no request is open: at once, or by a new attempt if it is parked. Return `run.resumed` or
    nothing. The caller has locked the session."""
    if execute(conn, "resume_run_if_free", run_id=run.id):
        return [run_event(run, "run.resumed", {"status": "running", "provider": run.provider})]
    if not execute(conn, "queue_parked_run_if_free", run_id=run.id):
        return []
    start_next(conn, run)
    return [run_event(run, "run.resumed", {"status": "queued", "provider": run.provider})]


def run_to_park(conn: Conn, run_id: UUID) -> RunRow | None:
    """Return the run if it is parked and its agent may still exist; else None."""
    run = fetch_one(conn, "run_by_id", RunRow, run_id=run_id)
    return run if run is not None and run.status == "parked" and run.lease_expires_at is not None else None

"""A run that waits for people: it goes on when nobody is asked any more, or is parked so that nothing is held for it.

A parked run keeps its place in the session, its questions stay open, and its agent is ended. `lease_expires_at` of a
parked run tells that the agent may be there still; until it is at rest the run does not come back.
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
    """Whether the run could come back: its conversation can be taken up again."""
    return not run.bound and can_go_on(conn, run)


def park(conn: Conn, run: RunRow) -> list[NewEvent]:
    """`run.parked`, and the job that puts its agent to rest; nothing when the run does not wait. The caller holds the
    session."""
    if not execute(conn, "park_run", run_id=run.id):
        return []
    defer_park(conn, run.id)
    start_next(conn, run)
    return [run_event(run, "run.parked", {"status": "parked", "provider": run.provider})]


def record_quiesced(conn: Conn, run_id: UUID, *, attempt: int, heard_all: bool) -> None:
    """No agent of the parked run is there any more: its place may be saved, its worker stopped.

    `heard_all`: all that its executor had to say is in the log, so what was answered meanwhile was told to nobody.
    Otherwise what the executor was given is void.
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
    """`run.resumed` once nobody is asked any more: at once, or by a new attempt if it is parked. Else nothing. The
    caller holds the session."""
    if execute(conn, "resume_run_if_free", run_id=run.id):
        return [run_event(run, "run.resumed", {"status": "running", "provider": run.provider})]
    if not execute(conn, "queue_parked_run_if_free", run_id=run.id):
        return []
    start_next(conn, run)
    return [run_event(run, "run.resumed", {"status": "queued", "provider": run.provider})]


def run_to_park(conn: Conn, run_id: UUID) -> RunRow | None:
    """The run if it is parked and its agent may be there still."""
    run = fetch_one(conn, "run_by_id", RunRow, run_id=run_id)
    return run if run is not None and run.status == "parked" and run.lease_expires_at is not None else None

"""Park a run that waits for people, so that it holds no worker; resume it when no request is open.

A parked run stays its session's live run, its requests stay open, and its agent ends. `lease_expires_at` of a parked
run means that the agent may still exist; the run resumes only after it is quiesced.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from handlers.enqueue import defer_park
from handlers.event_log import NewEvent, append, hold_session, run_event
from handlers.run_warnings import record_warning
from handlers.runs.settle import RetryPolicy, can_go_on, retry_or_fail, start_next, void_taken
from handlers.workspaces.sync import make_sync_due, mark_dirty
from schema.rows import RunRow
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_the, fetch_value

PARK_UNSUPPORTED = "park_unsupported"
"""The warning of a run that waits for a person and could not resume: the end of its agent would end it."""


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


def lose_attempt(
    conn: Conn,
    run: RunRow,
    policy: RetryPolicy,
    *,
    code: str,
    message: str,
    taken: Collection[UUID] | None = None,
) -> list[NewEvent]:
    """Decide what becomes of a run whose agent is gone, for whatever reason. The caller has locked the session.

    A run that waits for people is parked: its requests stay open under their ids, no attempt begins and nothing is
    asked again. So is a run whose answer was given but reached no agent: it resumes once its agent is known to be gone,
    and that uses no attempt. Any other run is requeued or fails (`retry_or_fail`). `taken` as in `void_taken`.
    """
    voided = void_taken(conn, run, taken) if run.status in ("running", "waiting") else []
    if not waits_for_people(conn, run):
        return [*voided, *retry_or_fail(conn, run, policy, code=code, message=message, taken=taken)]
    execute(conn, "await_human", run_id=run.id)
    cut_off = cut_off_calls(conn, run.id, attempt=run.attempt)
    mark_dirty(conn, run)
    return [*voided, *_warning_of(conn, run, cut_off), *park(conn, run)]


def waits_for_people(conn: Conn, run: RunRow) -> bool:
    """Return whether the run has a request that is open, or whose answer reached no agent, and could resume."""
    is_at_work = run.status in ("running", "waiting") and run.prompt_delivered
    return is_at_work and _has_unseen_request(conn, run) and can_park(conn, run)


@dataclass(frozen=True)
class _CutOffCall:
    title: str


def cut_off_calls(conn: Conn, run_id: UUID, *, attempt: int) -> list[str]:
    """Return the titles of tool calls that the attempt began and never ended, apart from those that asked."""
    return [call.title for call in fetch_all(conn, "cut_off_calls", _CutOffCall, run_id=run_id, attempt=attempt)]


def _has_unseen_request(conn: Conn, run: RunRow) -> bool:
    return fetch_value(conn, "has_unseen_request", run_id=run.id) is not None


def _warning_of(conn: Conn, run: RunRow, cut_off: list[str]) -> list[NewEvent]:
    if not cut_off:
        return []
    titles = ", ".join(f'"{title}"' for title in cut_off)
    message = f"The agent ended while it waited. These tool calls were cut off and may be half done: {titles}."
    warning = record_warning(conn, run, code="calls_cut_off", message=message)
    return [run_event(run, "run.warning", warning)]


def record_quiesced(conn: Conn, run_id: UUID, *, attempt: int, has_all_events: bool) -> None:
    """Record that no agent of the parked run exists any more: its workspace may be synced, its worker stopped.

    `has_all_events`: all events of its executor are in the log, so answers given meanwhile reached no agent. Otherwise
    answers that the executor received are void.
    """
    head = hold_session(conn, fetch_the(conn, "run_by_id", RunRow, run_id=run_id).session_id)
    if not execute(conn, "quiesce_run", run_id=run_id, attempt=attempt):
        return
    run = fetch_the(conn, "run_by_id", RunRow, run_id=run_id)
    events = [] if has_all_events else void_taken(conn, run, None)
    execute(conn, "take_back_answers", run_id=run_id)
    make_sync_due(conn, run.session_id)
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

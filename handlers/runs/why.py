"""Explain why a run has its status and what comes next, from its row and related rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from handlers.access.permissions import Actor
from handlers.runs.limits import HELD_BY_END, WHY_END_IS_KEPT
from handlers.runs.parking import PARK_UNSUPPORTED
from handlers.runs.read import queue_position, run_for
from handlers.runs.reconcile import seconds_since_seen
from schema.errors import NotFound
from schema.rows import HumanRequestRow, RunRow, WorkerRow
from schema.sql import Conn, fetch_all, fetch_one, fetch_value
from schema.why_api import RunWhy, Why
from schema.wire import Json
from schema.worker_api import Happened

HISTORY = 30
SILENT_SECONDS = 15.0
"""A job worker reports every 5 s; after this time without a report it counts as away."""
LIMITED = {
    "system": "This deployment has reached its limit of concurrent runs (RUN_LIMIT).",
    "app": "The app has reached its limit of concurrent runs (`concurrentRuns`, or RUN_LIMIT_PER_APP).",
    "user": "The user has used up the share of concurrent runs (RUN_LIMIT_PER_USER).",
    "host": "No session worker can be started now; the run's last event says why. It starts when that is over.",
    "store": "The workspace cannot be restored while the object store does not answer. The run starts when it does.",
}
"""Sentences that name the limit or share which holds a run back."""


@dataclass(frozen=True)
class Surroundings:
    """The rows that a run's next step depends on. `ahead` counts the session's unfinished runs before it; `live` is the
    session's running one; `is_due`: no retry delay is left. `requests` are open; `answered` have an answer that the
    agent may not have heard. `silent_seconds`: since a job worker's last report, None when there was none.
    `waits_for_end`: the executor keeps the end of the run before."""

    run: RunRow
    ahead: int
    live: RunRow | None
    is_due: bool
    requests: list[HumanRequestRow]
    answered: list[HumanRequestRow]
    worker: WorkerRow | None
    silent_seconds: float | None = None
    waits_for_end: bool = False


def why_run(conn: Conn, actor: Actor, run_id: UUID) -> RunWhy:
    """Explain a run. Operators may ask about every run, others about their own. Raises NotFound."""
    run = run_for(conn, actor, run_id) if actor.role == "member" else _run(conn, run_id)
    why = explain_run(_look_around(conn, run))
    history = fetch_all(conn, "run_history", _Happened, run_id=run_id, limit=HISTORY)
    return RunWhy(
        **dict(why),
        run_id=run.id,
        session_id=run.session_id,
        state=run.status,
        history=[Happened(at=row.at, what=row.what, detail=row.detail) for row in history],
    )


def explain_run_of(conn: Conn, run_id: UUID) -> Why:
    """Explain a run that the caller may see."""
    return explain_run(_look_around(conn, _run(conn, run_id)))


def explain_run(around: Surroundings) -> Why:
    """Explain what the verbs would do; decide and change nothing."""
    run = around.run
    if run.is_final:
        return Why(
            reason=run.reason_message or f"The run has {run.status}.",
            code=run.reason_code or run.status,
            blocked_by=[],
        )
    return _EXPLAINED[run.status](around)


def _queued(around: Surroundings) -> Why:
    run, live = around.run, around.live
    if around.ahead:
        ahead = f"The session has {around.ahead} unfinished {_runs(around.ahead)} before this run."
        live_one = [f"run {live.id}, which is {live.status}"] if live else []
        return Why(
            reason=ahead,
            code="runs_before",
            values={"count": around.ahead} | ({"status": live.status} if live else {}),
            blocked_by=live_one or [ahead],
            owner=f"run {live.id}" if live else None,
        )
    if not around.is_due:
        reason = f"The last attempt was lost: {run.last_error} The next attempt starts after a pause."
        return Why(
            reason=reason,
            code="attempt_lost",
            values={"error": run.last_error or ""},
            blocked_by=[reason],
            next_deadline=run.next_attempt_at,
            next_job="execute_run",
        )
    if around.silent_seconds is not None and around.silent_seconds > SILENT_SECONDS:
        reason = "No job worker has reported in recent seconds. The run starts when one is back."
        return Why(reason=reason, code="job_worker_away", blocked_by=[reason], next_job="execute_run")
    if run.held_by is not None:
        return Why(reason=LIMITED[run.held_by], code=f"limit_of_{run.held_by}", blocked_by=[LIMITED[run.held_by]])
    return Why(
        reason="The run is next in its session; a job worker will claim it.",
        code="next_in_session",
        blocked_by=[],
        next_job="execute_run",
    )


def _starting(around: Surroundings) -> Why:
    run, worker = around.run, around.worker
    if run.lease_expires_at is not None:
        reason = "The executor has the run; the agent is not ready yet."
        return Why(
            reason=reason,
            code="agent_starts",
            blocked_by=[],
            owner="its executor",
            next_deadline=run.lease_expires_at,
        )
    if around.waits_for_end:
        return Why(
            reason=WHY_END_IS_KEPT,
            code="end_being_kept",
            blocked_by=[WHY_END_IS_KEPT],
            owner=run.claimed_by,
            next_deadline=run.lock_expires_at,
        )
    where = "" if worker is None else f" The session's worker is {worker.status}."
    return Why(
        reason=f"A job worker dispatches the run to its executor.{where}",
        code="dispatched",
        blocked_by=[worker.last_error] if worker is not None and worker.last_error else [],
        owner=run.claimed_by,
        next_deadline=run.lock_expires_at,
        next_job="reconcile_runs",
    )


def _running(around: Surroundings) -> Why:
    driver = "the external executor" if around.run.bound else "its executor"
    if around.answered and not around.run.bound:
        return _on_its_way(around, "The answer is on its way to the agent.", code="answer_on_its_way")
    return Why(
        reason="The agent is working." if not around.run.bound else "An external executor drives the run.",
        code="driven_outside" if around.run.bound else "works",
        blocked_by=[],
        owner=driver,
        next_deadline=around.run.lease_expires_at,
        next_job="reconcile_runs",
    )


def _waiting(around: Surroundings) -> Why:
    expiring = [request.expires_at for request in around.requests if request.expires_at is not None]
    if _is_parked(around) and not around.requests:
        said = "All questions are answered. The run goes on as soon as the agent that asked has ended."
        return _on_its_way(around, said, code="goes_on_soon", next_job="park_run")
    kept = _kept(around)
    return Why(
        reason=f"The agent waits for an answer.{kept.sentence}",
        code=kept.code,
        values={"count": len(around.requests)},
        blocked_by=[f"request {request.id}: {request.title}" for request in around.requests],
        owner=f"user:{around.run.user_id}",
        next_deadline=min(expiring, default=None),
        next_job="expire_requests" if expiring else None,
    )


@dataclass(frozen=True)
class _Kept:
    """A run's outlook while its question is open: the code of the whole, and a sentence behind it."""

    code: str
    sentence: str = ""


def _kept(around: Surroundings) -> _Kept:
    if _is_parked(around):
        return _Kept("parked", " The run is parked: it stays first in its session and needs no worker.")
    if any(warning["code"] == PARK_UNSUPPORTED for warning in around.run.warnings):
        sentence = " The agent cannot resume its conversation: a restart of its session worker ends the run."
        return _Kept("waits_unparked", sentence)
    return _Kept("waits")


def _on_its_way(around: Surroundings, reason: str, *, code: str, next_job: str = "deliver_answer") -> Why:
    """Explain a run whose answers have not all reached an agent."""
    return Why(
        reason=reason,
        code=code,
        values={"count": len(around.answered)},
        blocked_by=[f"request {request.id}: {request.title}" for request in around.answered],
        owner="its executor",
        next_job=next_job,
    )


def _cancelling(around: Surroundings) -> Why:
    return Why(
        reason="The run is being stopped; at the deadline it becomes cancelled, even if its executor does not confirm.",
        code="stops",
        blocked_by=[],
        owner="its executor",
        next_deadline=around.run.cancel_deadline_at,
        next_job="stop_run",
    )


_EXPLAINED: dict[str, Callable[[Surroundings], Why]] = {
    "queued": _queued,
    "starting": _starting,
    "running": _running,
    "waiting": _waiting,
    "parked": _waiting,
    "cancelling": _cancelling,
}


def _look_around(conn: Conn, run: RunRow) -> Surroundings:
    unsettled = fetch_all(conn, "unsettled_runs_of_session", RunRow, session_id=run.session_id)
    return Surroundings(
        run=run,
        ahead=queue_position(conn, run),
        live=next((other for other in unsettled if other.status != "queued" and other.id != run.id), None),
        is_due=bool(fetch_value(conn, "run_is_due", run_id=run.id)),
        requests=fetch_all(conn, "open_human_requests_of_run", HumanRequestRow, run_id=run.id),
        answered=fetch_all(conn, "answers_on_their_way", HumanRequestRow, run_id=run.id),
        worker=fetch_one(conn, "worker", WorkerRow, session_id=run.session_id),
        silent_seconds=seconds_since_seen(conn, "worker"),
        waits_for_end=run.status == "starting" and _waits_for_end(conn, run),
    )


def _waits_for_end(conn: Conn, run: RunRow) -> bool:
    return bool(fetch_value(conn, "waits_for_end", run_id=run.id, attempt=run.attempt, held_by=HELD_BY_END))


@dataclass(frozen=True)
class _Happened:
    at: datetime
    what: str
    detail: Json


def _run(conn: Conn, run_id: UUID) -> RunRow:
    run = fetch_one(conn, "run_by_id", RunRow, run_id=run_id)
    if run is None:
        raise NotFound("There is no such run.", code="unknown_run")
    return run


def _is_parked(around: Surroundings) -> bool:
    return around.run.status == "parked"


def _runs(count: int) -> str:
    return "run" if count == 1 else "runs"

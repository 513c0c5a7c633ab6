"""Settle a run once, or requeue it for another attempt."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from handlers.enqueue import defer_run
from handlers.event_log import SYSTEM, NewEvent, run_event
from handlers.run_warnings import LONGEST_CODE, LONGEST_MESSAGE, TOO_MANY_EVENTS
from handlers.runs.limits import NeededPart, part_hold
from handlers.workspaces.sync import COALESCE_SECONDS, mark_dirty
from schema.events import Cost, Reason, RunFinished, Usage
from schema.rows import HumanRequestRow, RunRow
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_value, jsonb
from schema.wire import Json

TOLD_NOTHING = "nothing: the agent that asked has ended"
MAYBE_TOLD = "perhaps the answer: the agent ended while it was being told"


@dataclass(frozen=True)
class RetryPolicy:
    """`delay_seconds` pass before the next attempt of a run whose attempt was lost."""

    delay_seconds: float


def settle(conn: Conn, run: RunRow, finished: RunFinished) -> tuple[RunFinished, list[NewEvent]]:
    """Give the run its final state, close its requests, and start the session's next run.

    Returns the recorded outcome (a run that was being cancelled ends as cancelled, whatever its agent reports) and the
    events that precede `run.finished`. The caller has locked the session and appends both to the log.
    """
    outcome = _as_recorded(run, finished)
    mark_dirty(conn, run, within_seconds=0)
    usage = outcome.usage.to_json() if outcome.usage else None
    settled = fetch_one(
        conn,
        "settle_run",
        RunRow,
        run_id=run.id,
        status=outcome.status,
        reason_code=outcome.reason.code[:LONGEST_CODE] if outcome.reason else None,
        reason_message=outcome.reason.message[:LONGEST_MESSAGE] if outcome.reason else None,
        stop_reason=outcome.stop_reason[:LONGEST_CODE] if outcome.stop_reason else None,
        usage=None if usage is None else jsonb(usage),
    )
    if settled is None:
        raise AssertionError(f"run {run.id} was settled before")  # the caller read it under the session's lock
    execute(conn, "insert_usage", run_id=run.id, usage=jsonb(usage or {}))
    released = close_requests(conn, run)
    start_next(conn, run)
    return outcome, released


def finish(conn: Conn, run: RunRow, finished: RunFinished, *, author: str = SYSTEM) -> list[NewEvent]:
    """Settle a run on the control plane's own decision; return the events to append, `run.finished` last."""
    outcome, released = settle(conn, run, finished)
    return [*released, run_event(run, "run.finished", outcome.to_json(), author=author)]


def fail(conn: Conn, run: RunRow, *, code: str, message: str) -> list[NewEvent]:
    """Settle the run as failed, with a reason."""
    return finish(conn, run, RunFinished(status="failed", reason=Reason(code=code, message=message)))


def cancel(
    conn: Conn,
    run: RunRow,
    *,
    message: str = "The run was stopped.",
    author: str = SYSTEM,
    because: Reason | None = None,
) -> list[NewEvent]:
    """Settle the run as cancelled; `because` replaces the default reason that the run was stopped."""
    reason = because or Reason(code="stopped", message=message)
    return finish(conn, run, RunFinished(status="cancelled", reason=reason), author=author)


def retry_or_fail(
    conn: Conn,
    run: RunRow,
    policy: RetryPolicy,
    *,
    code: str,
    message: str,
    taken: Collection[UUID] | None = None,
) -> list[NewEvent]:
    """Requeue a run whose attempt was lost, if that repeats no side effect and attempts are left; else fail it.

    Before the prompt was delivered the run starts again. Afterwards only a resumable conversation continues, and the
    prompt is never sent again. `taken` as in `void_taken`.
    """
    if run.status == "cancelling":
        return cancel(conn, run)
    if run.bound:
        return fail(
            conn, run, code="driver_lost", message="The external executor did not report on the run within its lease."
        )
    if not has_attempts_left(conn, run):
        return fail(conn, run, code=code, message=f"{message} All {run.max_attempts} attempts are used up.")
    if run.prompt_delivered and not can_go_on(conn, run):
        return fail(conn, run, code=code, message=f"{message} Its conversation cannot be resumed.")
    return _requeue(conn, run, policy, code=code, message=message, taken=taken)


def wait_for_part(
    conn: Conn, run: RunRow, policy: RetryPolicy, *, part: NeededPart, fault: str, code: str, message: str
) -> list[NewEvent]:
    """Requeue a claimed run until the host or the object store works again; `fault` says why it does not.

    The attempt counts against no maximum. A run that cannot continue, or is not first in its session any more, is
    retried or failed.
    """
    if run.prompt_delivered and not can_go_on(conn, run):
        return retry_or_fail(conn, run, policy, code=code, message=message)
    released = _carry_on(conn, run, None)
    mark_dirty(conn, run, within_seconds=COALESCE_SECONDS)
    if not fetch_value(conn, "hold_claimed_for_part", run_id=run.id, part=part, error=message):
        return [*released, *retry_or_fail(conn, run, policy, code=code, message=message)]
    return [*released, run_event(run, "run.held", {**part_hold(run, part, fault), "attemptGivenBack": True})]


def requeue_uncounted(conn: Conn, run: RunRow, held: Json) -> list[NewEvent]:
    """Requeue a claimed run at once. The attempt counts against no maximum; `held` is the event that says why."""
    released = _carry_on(conn, run, None)
    fetch_one(conn, "requeue_run", RunRow, run_id=run.id, error=held["message"], delay_seconds=0)
    defer_run(conn, run.id)
    return [*released, run_event(run, "run.held", {**held, "status": "queued", "attemptGivenBack": True})]


def has_attempts_left(conn: Conn, run: RunRow) -> bool:
    """Return whether another attempt is allowed. Resuming a parked run uses no attempt, nor does a part that fails."""
    if run.attempt < run.max_attempts:
        return True
    not_counted: int = fetch_value(conn, "attempts_not_counted", run_id=run.id)
    return run.attempt - not_counted < run.max_attempts


def can_go_on(conn: Conn, run: RunRow) -> bool:
    """Return whether another attempt can continue the run's conversation."""
    return fetch_value(conn, "conversation_of_run", run_id=run.id) is not None


def start_next(conn: Conn, run: RunRow) -> None:
    """After a run ended or parked, enqueue its session's first queued run and a throttled run that may start now."""
    ended = {"session_id": run.session_id, "app_id": run.app_id, "user_id": run.user_id}
    for row in fetch_all(conn, "runs_to_start", _Id, **ended):
        defer_run(conn, row.id)


@dataclass(frozen=True)
class _Id:
    id: UUID


def close_requests(conn: Conn, run: RunRow) -> list[NewEvent]:
    """Close the open requests of an ended run as undecided, so that they take no more answers."""
    closed = fetch_all(conn, "close_human_requests_of_run", HumanRequestRow, run_id=run.id, told=TOLD_NOTHING)
    return [run_event(run, *_closing(request, TOLD_NOTHING)) for request in closed]


def void_taken(conn: Conn, run: RunRow, taken: Collection[UUID] | None) -> list[NewEvent]:
    """Void answers that the lost agent may have received: no answer is delivered twice. `taken` are the answers that
    its executor handed over; None means unknown, and voids every answer that the executor received."""
    known = None if taken is None else list(taken)
    void = fetch_all(conn, "void_taken_answers", HumanRequestRow, run_id=run.id, taken=known, told=MAYBE_TOLD)
    return [run_event(run, *_closing(request, MAYBE_TOLD)) for request in void]


def _carry_on(conn: Conn, run: RunRow, taken: Collection[UUID] | None) -> list[NewEvent]:
    """Keep undelivered answers for the next attempt; void received ones; close the lost agent's open requests."""
    events = void_taken(conn, run, taken)
    closed = fetch_all(conn, "cancel_open_human_requests", HumanRequestRow, run_id=run.id, told=TOLD_NOTHING)
    execute(conn, "take_back_answers", run_id=run.id)
    return [*events, *(run_event(run, *_closing(request, TOLD_NOTHING)) for request in closed)]


def _closing(request: HumanRequestRow, outcome: str) -> tuple[str, dict[str, object]]:
    if request.answer is not None:
        return "human_loop.applied", {"requestId": str(request.id), "outcome": "void", "told": outcome}
    return "human_loop.resolved", {"requestId": str(request.id), "decision": "cancel", "by": SYSTEM}


def _requeue(
    conn: Conn, run: RunRow, policy: RetryPolicy, *, code: str, message: str, taken: Collection[UUID] | None
) -> list[NewEvent]:
    released = _carry_on(conn, run, taken)
    mark_dirty(conn, run, within_seconds=COALESCE_SECONDS)
    fetch_one(conn, "requeue_run", RunRow, run_id=run.id, error=message, delay_seconds=policy.delay_seconds)
    defer_run(conn, run.id, delay_seconds=policy.delay_seconds)
    data = {
        "status": "queued",
        "provider": run.provider,
        "reason": {"code": code, "message": message},
        "attempt": run.attempt,
        "maxAttempts": run.max_attempts,
        "resuming": run.prompt_delivered,
    }
    return [*released, run_event(run, "run.retrying", data)]


def _as_recorded(run: RunRow, finished: RunFinished) -> RunFinished:
    usage = finished.usage or (Usage.model_validate(run.usage) if run.usage else None)
    if usage is not None and usage.cost is None:
        usage = usage.model_copy(update={"cost": Cost(source="unavailable")})
    beyond = next((warning for warning in run.warnings if warning["code"] == TOO_MANY_EVENTS), None)
    if run.status == "cancelling" and (beyond is not None or finished.status != "cancelled"):
        stopped = {"code": "stopped", "message": "The run was stopped."}
        reason = Reason.model_validate(beyond or stopped)
        return finished.model_copy(update={"status": "cancelled", "reason": reason, "usage": usage})
    if finished.status == "blocked" and run.status not in ("queued", "starting"):
        return finished.model_copy(update={"status": "failed", "usage": usage})
    return finished.model_copy(update={"usage": usage})

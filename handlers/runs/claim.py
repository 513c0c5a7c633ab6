"""Claim a run for a job, record its dispatch to an executor, or requeue it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from handlers.event_log import NewEvent, append, hold_session, run_event
from handlers.runs.carried_answers import carry_answers
from handlers.runs.handover import UnseenRun, runs_of_lost_conversation, unseen_runs
from handlers.runs.limits import (
    HELD_BY_END,
    NO_LIMITS,
    WHY_END_IS_KEPT,
    NeededPart,
    RunLimits,
    is_throttled,
    start_next_throttled,
    user_has_room,
    waits_for_host,
)
from handlers.runs.parking import cut_off_calls
from handlers.runs.settle import RetryPolicy, fail, finish, requeue_uncounted, retry_or_fail, wait_for_part
from handlers.runs.todos import known_todos
from schema.events import Reason, RunFinished, TodoUpdate
from schema.executor_api import CarriedAnswer, Resume
from schema.rows import LogHead, RunRow, WorkerRow
from schema.runtime_manifest import RuntimeManifest, read_runtime_manifest
from schema.sql import Conn, execute, fetch_one, fetch_the, fetch_value
from schema.wire import Json

WorkerOutcome = Literal["dispatched", "superseded"]


@dataclass(frozen=True)
class Claimed:
    """A run claimed by a job. `worker` is its row at the claim: an active worker is not stopped while the run lives.
    `resume` names the agent's conversation to continue; `answers` were given while no agent was there; `todos` are the
    session's lists; `unseen` are runs to hand over to the agent, `if_lost` those for an agent that
    cannot resume."""

    run: RunRow
    worker: WorkerRow | None
    manifest: RuntimeManifest
    resume: Resume | None
    answers: list[CarriedAnswer]
    todos: list[TodoUpdate]
    unseen: list[UnseenRun]
    if_lost: list[UnseenRun]
    cut_off: list[str]


@dataclass(frozen=True)
class _Held(LogHead):
    """The log head of a queued run's session, the run's user, and the app's settings."""

    user_id: UUID

    was_held: bool
    manifest: Json
    concurrent_runs: int | None


def claim_run(
    conn: Conn,
    run_id: UUID,
    *,
    owner: str,
    lock_seconds: float,
    limits: RunLimits = NO_LIMITS,
    host_fault: str | None = None,
    away: Collection[NeededPart] = (),
) -> Claimed | None:
    """Claim the run if it is due, first in its session's queue and within all limits; else return None.

    With a `host_fault` no session worker can be started: a run whose session has none stays in the queue.
    Runs that wait for a part which is `away` go before no other run.
    """
    head = fetch_one(conn, "hold_for_claim", _Held, run_id=run_id)
    if head is None:
        return None
    if host_fault is not None and waits_for_host(conn, head, run_id, fault=host_fault):
        return None
    is_limited = limits.are_set or head.concurrent_runs is not None
    is_of_user = head.concurrent_runs is None and limits.are_of_users_alone
    if is_of_user:
        is_limited = not user_has_room(conn, head.user_id, limits)
    if is_limited:
        run = fetch_the(conn, "run_by_id", RunRow, run_id=run_id)
        if is_throttled(conn, head, run, limits, away=away, is_locked=is_of_user):
            return None
    claimed = fetch_one(
        conn, "claim_run", RunRow, run_id=run_id, owner=owner, epoch=head.epoch, lock_seconds=lock_seconds
    )
    if is_limited or head.was_held:
        start_next_throttled(conn, limits, away=away)
    return None if claimed is None else _with_all_it_needs(conn, claimed, manifest=head.manifest)


def _with_all_it_needs(conn: Conn, run: RunRow, *, manifest: Json) -> Claimed:
    resume = _resume(conn, run)
    return Claimed(
        run,
        fetch_one(conn, "worker", WorkerRow, session_id=run.session_id),
        read_runtime_manifest(manifest),
        resume,
        carry_answers(conn, run),
        known_todos(conn, run.session_id),
        unseen_runs(conn, run, resume),
        runs_of_lost_conversation(conn, run, resume),
        cut_off_calls(conn, run.id, attempt=run.attempt - 1) if resume and resume.continuing else [],
    )


def claim_stands(conn: Conn, run: RunRow) -> bool:
    return fetch_value(conn, "claim_stands", run_id=run.id, claim=run.claim) is not None


def renew_claim(conn: Conn, run: RunRow, *, lock_seconds: float) -> bool:
    """Renew the claim; return False if it does not stand any more."""
    return execute(conn, "renew_claim", run_id=run.id, claim=run.claim, lock_seconds=lock_seconds) == 1


def end_claim(conn: Conn, run: RunRow) -> RunRow | None:
    """Let the claim expire now. Return the run as it is then; None if the claim does not stand any more."""
    return fetch_one(conn, "end_claim", RunRow, run_id=run.id, claim=run.claim)


def record_dispatched(conn: Conn, run: RunRow, *, lease_seconds: float) -> WorkerOutcome:
    """Record that the executor has the run. `superseded`: the run was stopped or claimed again meanwhile."""
    touched = execute(conn, "record_dispatched", run_id=run.id, attempt=run.attempt, lease_seconds=lease_seconds)
    return "dispatched" if touched else "superseded"


def requeue(conn: Conn, run: RunRow, policy: RetryPolicy, *, code: str, message: str) -> bool:
    """Requeue a run that could not be started, or fail it. Return False if its claim does not stand any more."""
    return _settle_claim(conn, run, lambda current: retry_or_fail(conn, current, policy, code=code, message=message))


def hold_for_part(
    conn: Conn, run: RunRow, policy: RetryPolicy, *, part: NeededPart, fault: str, code: str, message: str
) -> bool:
    """Requeue a run until the failed part works. Return False if its claim does not stand any more."""
    return _settle_claim(
        conn,
        run,
        lambda current: wait_for_part(conn, current, policy, part=part, fault=fault, code=code, message=message),
    )


def hold_for_end(conn: Conn, run: RunRow) -> bool:
    """Tell that the executor keeps the end of the run before first. Return False if the claim does not stand any
    more."""
    return _settle_claim(conn, run, lambda current: [run_event(current, "run.held", end_hold(current))])


def give_back(conn: Conn, run: RunRow) -> bool:
    """Requeue a run at once that waits for the end of the run before: its job worker ends. Return False if its claim
    does not stand any more."""
    return _settle_claim(conn, run, lambda current: requeue_uncounted(conn, current, end_hold(current)))


def end_hold(run: RunRow) -> Json:
    """Return the data of the event that a run waits for the end of the run before."""
    return {"status": run.status, "provider": run.provider, "heldBy": HELD_BY_END, "message": WHY_END_IS_KEPT}


def refuse(conn: Conn, run: RunRow, *, code: str, message: str) -> bool:
    """Block a run that must not start, with a message that says what to do."""
    blocked = RunFinished(status="blocked", reason=Reason(code=code, message=message))
    return _settle_claim(conn, run, lambda current: finish(conn, current, blocked))


def abandon(conn: Conn, run: RunRow, *, code: str, message: str) -> bool:
    """Fail a run at once: another attempt would end the same way."""
    return _settle_claim(conn, run, lambda current: fail(conn, current, code=code, message=message))


def _settle_claim(conn: Conn, run: RunRow, settle: Callable[[RunRow], list[NewEvent]]) -> bool:
    head = hold_session(conn, run.session_id)
    current = fetch_one(conn, "run_by_id", RunRow, run_id=run.id)
    if current is None or current.claim != run.claim or current.status != "starting":
        return False
    append(conn, head, settle(current))
    return True


def _resume(conn: Conn, run: RunRow) -> Resume | None:
    if not (run.prompt_delivered or _may_resume(run)):
        return None
    conversation = fetch_value(conn, "conversation", session_id=run.session_id, provider=run.provider)
    if conversation is None:
        return None
    return Resume(agent_session_id=conversation, continuing=run.prompt_delivered)


def _may_resume(run: RunRow) -> bool:
    """Return whether the run may resume. A `resume_unsupported` warning stands, even with a conversation."""
    codes = {warning["code"] for warning in run.warnings}
    return bool(run.options.get("resume", True)) and "resume_unsupported" not in codes

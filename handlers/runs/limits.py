"""How many runs there may be at once: of all, of an app, of a user. What is due beyond a limit is held in its queue.

Decided where runs are claimed, under one lock that only claims take to which a limit applies. The job that a held run
gets when another ends is a hint: the claim finds out whose turn it is, and passes the job on to whoever's it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from handlers.enqueue import defer_run
from handlers.event_log import append, run_event
from schema.rows import LogHead, RunRow
from schema.sql import Conn, execute, fetch_the, fetch_value

HeldBy = Literal["system", "app", "user"]
WHY_HELD: dict[HeldBy, str] = {
    "system": "All places for runs are taken; this one starts when it is its turn.",
    "app": "All places for runs of this app are taken; this one starts when it is its turn.",
    "user": "All places for your runs are taken; this one starts when it is its turn.",
}


@dataclass(frozen=True, kw_only=True)
class RunLimits:
    """Runs that may hold an executor at once; 0 is no limit. `per_app` is for apps that set none of their own."""

    system: int = 0
    per_app: int = 0
    per_user: int = 0

    @property
    def are_set(self) -> bool:
        return any((self.system, self.per_app, self.per_user))


NO_LIMITS = RunLimits()


@dataclass(frozen=True)
class LimitCheck:
    """`held_by` keeps the run that asks, if anything does; `next_run_id` is the held one that may go."""

    held_by: HeldBy | None
    next_run_id: UUID | None


def is_throttled(conn: Conn, head: LogHead, run: RunRow, limits: RunLimits) -> bool:
    """Whether the run has to wait for its turn; then it is held, and whoever's turn it is gets a job.

    The caller holds the session, and claims the run if not. After the lock that this takes until the transaction
    ends, no session may be waited for.
    """
    fetch_value(conn, "lock_run_limits")
    turn = _turn(conn, limits, run_id=run.id)
    if turn.held_by is None:
        return False
    if fetch_value(conn, "throttle_run", run_id=run.id, held_by=turn.held_by):
        data = {"status": "queued", "provider": run.provider, "heldBy": turn.held_by, "message": WHY_HELD[turn.held_by]}
        append(conn, head, [run_event(run, "run.held", data)])
    if turn.next_run_id is not None:
        defer_run(conn, turn.next_run_id)
    return True


def start_next_throttled(conn: Conn, limits: RunLimits) -> None:
    """Have the held run claimed whose turn it is, if it is any's."""
    turn = _turn(conn, limits, run_id=None)
    if turn.next_run_id is not None:
        defer_run(conn, turn.next_run_id)


def start_missed_throttled(conn: Conn, limits: RunLimits) -> None:
    """Do as `start_next_throttled`, unless the next run's job is queued already. A run can end at the moment in which
    another is throttled, and limits can be raised; this call covers both."""
    if not fetch_value(conn, "any_run_is_throttled"):
        return
    turn = _turn(conn, limits, run_id=None)
    if turn.next_run_id is not None and not fetch_value(conn, "job_is_on_its_way", run_id=turn.next_run_id):
        defer_run(conn, turn.next_run_id)


def put_first(conn: Conn, run_id: UUID, *, session_id: UUID) -> None:
    """A queued run became the session's next: it waits where the one that was next is held, or gets a job.

    The job that the other may have finds that it is not first any more, and ends. The caller holds the session.
    """
    if not execute(conn, "take_over_hold", run_id=run_id, session_id=session_id):
        defer_run(conn, run_id)


def held_position(conn: Conn, run_id: UUID) -> int:
    """How many runs that the same limit holds come before the run."""
    before: int = fetch_value(conn, "runs_throttled_before", run_id=run_id)
    return before


def _turn(conn: Conn, limits: RunLimits, *, run_id: UUID | None) -> LimitCheck:
    asked = {"system": limits.system, "per_app": limits.per_app, "per_user": limits.per_user}
    return fetch_the(conn, "check_run_limits", LimitCheck, run_id=run_id, **asked)

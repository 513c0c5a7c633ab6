"""Limit concurrent runs of the system, of an app and of a user. A due run beyond a limit is throttled in its queue.
So is a run while the host can start no session worker (`host`), or while the object store that it must be restored from
does not answer (`store`).

Claims decide, under a lock. Where only users are limited, each user has a lock, so that claims of others do not wait;
else all claims under a limit take one lock, and then the user's. The job that a throttled run gets when another run
ends is only a nudge: its claim checks the limits, and passes the job on to the run that may start.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from handlers.enqueue import defer_run
from handlers.event_log import append, run_event
from schema.rows import LogHead, RunRow
from schema.sql import Conn, execute, fetch_the, fetch_value
from schema.wire import Json

Limit = Literal["system", "app", "user"]
NeededPart = Literal["host", "store"]
"""A part without which a run cannot start."""
HeldBy = Literal["system", "app", "user", "host", "store"]
WHY_HELD: dict[Limit, str] = {
    "system": "This deployment has reached its limit of concurrent runs; the run starts when it is next.",
    "app": "The app has reached its limit of concurrent runs; the run starts when it is next.",
    "user": "You have reached your limit of concurrent runs; the run starts when it is next.",
}
HELD_BY_END = "run_end"
"""`heldBy` of a claimed run that waits at its executor. No limit and no part holds it back."""
WHY_END_IS_KEPT = "The executor still saves the files as the run before left them. The run starts when that is done."
WHY_AWAY: dict[NeededPart, str] = {
    "host": "No session worker can be started",
    "store": "The workspace cannot be restored",
}


@dataclass(frozen=True, kw_only=True)
class RunLimits:
    """The maximum of runs with an executor; 0 means no limit. `per_app` applies to apps without their own limit."""

    system: int = 0
    per_app: int = 0
    per_user: int = 0

    @property
    def are_set(self) -> bool:
        return any((self.system, self.per_app, self.per_user))

    @property
    def are_of_users_alone(self) -> bool:
        return self.per_user > 0 and not self.system and not self.per_app


NO_LIMITS = RunLimits()


@dataclass(frozen=True)
class LimitCheck:
    """`held_by` is the limit that throttles the claiming run; `next_run_id` is the throttled run that may start."""

    held_by: Limit | None
    next_run_id: UUID | None


def user_has_room(conn: Conn, user_id: UUID, limits: RunLimits) -> bool:
    """Return whether the user is below the limit and has no throttled run, so that a claim need not look further.

    This call takes the user's lock until the transaction ends; after it, wait for no session.
    """
    fetch_value(conn, "lock_live_runs_of_user", user_id=user_id)
    return bool(fetch_value(conn, "user_has_room", user_id=user_id, per_user=limits.per_user))


def is_throttled(
    conn: Conn,
    head: LogHead,
    run: RunRow,
    limits: RunLimits,
    *,
    away: Collection[NeededPart] = (),
    is_locked: bool = False,
) -> bool:
    """Return whether a limit throttles the run; if so, record it and enqueue the run that may start instead.

    A run that waits for a part which is `away` goes before no other run.
    The caller has locked the session, and claims the run if False. This call takes locks until the transaction ends,
    unless `user_has_room` has (`is_locked`); after it, wait for no session.
    """
    if not is_locked:
        fetch_value(conn, "lock_run_limits")
        fetch_value(conn, "lock_live_runs_of_user", user_id=run.user_id)
    turn = _turn(conn, limits, run_id=run.id, away=away)
    if turn.held_by is None:
        return False
    if fetch_value(conn, "throttle_run", run_id=run.id, held_by=turn.held_by):
        data = {"status": "queued", "provider": run.provider, "heldBy": turn.held_by, "message": WHY_HELD[turn.held_by]}
        append(conn, head, [run_event(run, "run.held", data)])
    if turn.next_run_id is not None:
        defer_run(conn, turn.next_run_id)
    return True


def waits_for_host(conn: Conn, head: LogHead, run_id: UUID, *, fault: str) -> bool:
    """Return whether the run's session has no worker at work, so that it waits for the host; if so, record it.

    The caller has locked the session. No attempt is used up: nothing was claimed.
    """
    if fetch_value(conn, "has_active_worker", session_id=head.session_id):
        return False
    if fetch_value(conn, "hold_for_host", run_id=run_id):
        run = fetch_the(conn, "run_by_id", RunRow, run_id=run_id)
        append(conn, head, [run_event(run, "run.held", part_hold(run, "host", fault))])
    return True


def part_hold(run: RunRow, part: NeededPart, fault: str) -> Json:
    """Return the data of the event that a run waits for a part."""
    message = f"{WHY_AWAY[part]}: {fault} The run starts when that is over."
    return {"status": "queued", "provider": run.provider, "heldBy": part, "message": message}


def start_next_throttled(conn: Conn, limits: RunLimits, *, away: Collection[NeededPart] = ()) -> None:
    """Enqueue the throttled run that may start now, if there is one."""
    turn = _turn(conn, limits, run_id=None, away=away)
    if turn.next_run_id is not None:
        defer_run(conn, turn.next_run_id)


def start_missed_throttled(conn: Conn, limits: RunLimits, *, away: Collection[NeededPart] = ()) -> None:
    """Do as `start_next_throttled`, unless the next run's job is queued already. A run can end at the moment in which
    another is throttled, and limits can be raised; this call covers both."""
    if not fetch_value(conn, "any_run_is_throttled"):
        return
    turn = _turn(conn, limits, run_id=None, away=away)
    if turn.next_run_id is not None and not fetch_value(conn, "job_is_on_its_way", run_id=turn.next_run_id):
        defer_run(conn, turn.next_run_id)


def any_run_waits_for_store(conn: Conn) -> bool:
    return bool(fetch_value(conn, "any_run_waits_for_store"))


def put_first(conn: Conn, run_id: UUID, *, session_id: UUID) -> None:
    """Put a queued run first in its session: it takes over the throttling of the former first run, or gets a job.

    The former first run's job finds that the run is not first any more, and ends. The caller has locked the session.
    """
    if not execute(conn, "take_over_hold", run_id=run_id, session_id=session_id):
        defer_run(conn, run_id)


def held_position(conn: Conn, run_id: UUID) -> int:
    """Count the runs that the same limit throttles before this run."""
    before: int = fetch_value(conn, "runs_throttled_before", run_id=run_id)
    return before


def _turn(conn: Conn, limits: RunLimits, *, run_id: UUID | None, away: Collection[NeededPart]) -> LimitCheck:
    maxima = {"system": limits.system, "per_app": limits.per_app, "per_user": limits.per_user}
    return fetch_the(conn, "check_run_limits", LimitCheck, run_id=run_id, away=list(away), **maxima)

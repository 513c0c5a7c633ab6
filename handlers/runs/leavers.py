"""Runs of users who were disabled: queued ones are cancelled, live ones stopped, each with an event that says why."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from handlers.event_log import append, hold_session
from handlers.runs.stop import StopPolicy, stop
from schema.events import Reason
from schema.rows import RunRow
from schema.sql import Conn, fetch_all, fetch_one

USER_DISABLED = Reason(code="user_disabled", message="The run was stopped because its user was disabled.")


@dataclass(frozen=True)
class LeaverRun:
    """A run that has to end, because its user may no longer use Runyard."""

    run_id: UUID
    session_id: UUID


def runs_of_disabled_users(conn: Conn, *, limit: int = 100) -> list[LeaverRun]:
    """Runs that have not ended and are not being stopped, oldest first."""
    return fetch_all(conn, "runs_of_disabled_users", LeaverRun, limit=limit)


def stop_run_of_disabled_user(conn: Conn, leaver: LeaverRun, *, policy: StopPolicy) -> bool:
    """Stop the run, unless it has ended or its user was enabled meanwhile. Safe to be called by several at once."""
    head = hold_session(conn, leaver.session_id)
    run = fetch_one(conn, "run_of_disabled_user", RunRow, run_id=leaver.run_id)
    if run is None:
        return False
    events = stop(conn, run, author="system", policy=policy, because=USER_DISABLED)
    append(conn, head, events)
    return bool(events)

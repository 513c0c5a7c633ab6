"""Runs over sessions: of the sessions that a user may see, or, for operators, of everyone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from handlers.access.permissions import Actor
from handlers.runs.why import explain_run_of
from schema.rows import RunStatus
from schema.sql import Conn, fetch_all
from schema.why_api import Why

STUCK_SECONDS = 30.0


@dataclass(frozen=True)
class ListedRun:
    """A run in a list, without its prompt, which only those who may see its session read."""

    id: UUID
    session_id: UUID
    user_id: UUID
    user_name: str
    owner_id: UUID
    session_title: str
    provider: str
    status: RunStatus
    attempt: int
    max_attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    reason_code: str | None
    reason_message: str | None
    retry_of: UUID | None

    def is_seen_by(self, actor: Actor) -> bool:
        return actor.role == "admin" or actor.user_id == self.owner_id


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """Which runs to list; None is every one. `stuck` runs have waited for STUCK_SECONDS for a part of Runyard."""

    status: RunStatus | None = None
    provider: str | None = None
    user_id: UUID | None = None
    session_id: UUID | None = None
    stuck: bool = False


def list_runs(
    conn: Conn, actor: Actor, chosen: RunFilter, *, before: tuple[str, UUID] | None, limit: int
) -> list[ListedRun]:
    """A page, newest first; members get the runs of their own sessions. `before` is the last one's (createdAt, id)."""
    at, last_id = before or (None, None)
    return fetch_all(
        conn,
        "run_list",
        ListedRun,
        before_at=at,
        before_id=last_id,
        owner_id=actor.user_id if actor.role == "member" else None,
        of_user_id=chosen.user_id,
        session_id=chosen.session_id,
        provider=chosen.provider,
        status=chosen.status,
        stuck=chosen.stuck,
        stuck_seconds=STUCK_SECONDS,
        limit=limit,
    )


def why_in_short(conn: Conn, run: ListedRun) -> Why | None:
    """Explain a run that has not ended; None for one that has."""
    return None if run.finished_at is not None else explain_run_of(conn, run.id)

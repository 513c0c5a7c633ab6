"""Sessions as a person's list shows them: what runs, what waits for them, what is unread, what is saved."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from handlers.access.permissions import Actor, session_for
from handlers.event_log import record_change
from schema.errors import NotFound
from schema.rows import RunStatus
from schema.sql import Conn, execute, fetch_all, fetch_one
from schema.wire import Json


@dataclass(frozen=True)
class SessionOverview:
    """One row of the list. `unread` counts the runs that ended after `read_seq`, `needs_me` the open requests.

    `is_saved` is None for a session that never had a worker. The sums of usage are None where no run reported any.
    """

    id: UUID
    owner_id: UUID
    app_id: UUID
    title: str
    created_at: datetime
    updated_at: datetime
    active_at: datetime
    last_seq: int
    epoch: int
    trust_workspace: bool
    read_seq: int
    pinned_at: datetime | None
    archived_at: datetime | None
    live_run_id: UUID | None
    live_provider: str | None
    live_status: RunStatus | None
    live_started_at: datetime | None
    queued: int
    needs_me: int
    question: str | None
    unread: int
    provider: str | None
    prompt: str | None
    is_saved: bool | None
    saved_up_to_run_number: int | None
    runs_with_usage: int
    input_tokens: int | None
    output_tokens: int | None
    cached_read_tokens: int | None
    cached_write_tokens: int | None
    cost: list[Json] | None
    without_cost: int


@dataclass(frozen=True, kw_only=True)
class SessionFilter:
    """Which sessions of the actor to list; None is every one. `status` is `idle`, `queued` or a live run's status."""

    text: str | None = None
    status: str | None = None
    needs_me: bool = False
    app_id: UUID | None = None
    provider: str | None = None
    is_archived: bool | None = None
    is_pinned: bool | None = None
    by_activity: bool = False


EVERYTHING = SessionFilter()


def list_sessions(
    conn: Conn, actor: Actor, chosen: SessionFilter, *, before: tuple[str, UUID] | None, limit: int
) -> list[SessionOverview]:
    """A page of the actor's sessions, newest (or most recently active) first; `before` is the last one's (time, id)."""
    at, last_id = before or (None, None)
    return fetch_all(
        conn,
        "session_overviews",
        SessionOverview,
        user_id=actor.user_id,
        before_at=at,
        before_id=last_id,
        by_activity=chosen.by_activity,
        app_id=chosen.app_id,
        is_archived=chosen.is_archived,
        is_pinned=chosen.is_pinned,
        needs_me=chosen.needs_me,
        provider=chosen.provider,
        status=chosen.status,
        pattern=None if chosen.text is None else f"%{_escaped(chosen.text)}%",
        limit=limit,
    )


def overview_of(conn: Conn, actor: Actor, session_id: UUID) -> SessionOverview:
    """The session if the actor may see it; raises NotFound."""
    session_for(conn, actor, session_id)
    overview = fetch_one(conn, "session_overview", SessionOverview, user_id=actor.user_id, session_id=session_id)
    if overview is None:
        raise NotFound("There is no such session.", code="unknown_session")
    return overview


def overviews_of_owners(
    conn: Conn, session_ids: Collection[UUID], owner_ids: Collection[UUID]
) -> list[SessionOverview]:
    """Those of the sessions that are in a list of these owners, each as its owner's list shows it."""
    return fetch_all(
        conn,
        "overviews_of_owners",
        SessionOverview,
        user_id=None,
        session_ids=list(session_ids),
        owner_ids=list(owner_ids),
    )


@dataclass(frozen=True)
class DeletedSession:
    session_id: UUID
    owner_id: UUID


def deleted_sessions_of_owners(
    conn: Conn, session_ids: Collection[UUID], owner_ids: Collection[UUID]
) -> list[DeletedSession]:
    """Those of the sessions that these owners have deleted."""
    return fetch_all(
        conn,
        "deleted_sessions_of_owners",
        DeletedSession,
        session_ids=list(session_ids),
        owner_ids=list(owner_ids),
    )


def recently_active_sessions(conn: Conn, owner_ids: Collection[UUID], *, seconds: float) -> dict[UUID, int]:
    """The log's last number by session, of the owners' sessions in which something happened in the last seconds."""
    rows = fetch_all(conn, "recently_active_sessions", _ActiveSession, owner_ids=list(owner_ids), seconds=seconds)
    return {row.session_id: row.last_seq for row in rows}


@dataclass(frozen=True)
class _ActiveSession:
    session_id: UUID
    last_seq: int


def mark_session(
    conn: Conn, actor: Actor, session_id: UUID, *, pinned: bool | None = None, archived: bool | None = None
) -> None:
    """Pin or archive the session for the actor alone; None leaves a mark as it is. Raises NotFound."""
    session = session_for(conn, actor, session_id)
    execute(conn, "mark_session", user_id=actor.user_id, session_id=session_id, pinned=pinned, archived=archived)
    record_change(session.id, session.last_seq)


def mark_session_read(conn: Conn, actor: Actor, session_id: UUID, *, seq: int) -> None:
    """Remember that the actor has read the log up to `seq`; a lower number changes nothing. Raises NotFound."""
    session = session_for(conn, actor, session_id)
    execute(conn, "mark_session_read", user_id=actor.user_id, session_id=session_id, seq=seq)
    record_change(session.id, session.last_seq)


def _escaped(text: str) -> str:
    """The text as a pattern of LIKE that means itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")

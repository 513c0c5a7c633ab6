"""Show agents' requests to users who may answer: the session's owner, admins, and the users escalated to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import get_args
from uuid import UUID

from handlers.access.permissions import Actor, permissions_of, session_for
from handlers.event_log import BODIES as EVENT_BODIES
from handlers.event_log import envelope
from schema.errors import NotFound
from schema.events import Envelope
from schema.row_pages import RowPage, fetch_page
from schema.rows import EventRow, HumanRequestRow, Role, RunStatus
from schema.sql import Conn, fetch_all, fetch_one

NO_SUCH = "There is no such request."
BODIES = ("tool_call", "options", "answer_schema", "answer")
"""Columns of a request that can be large."""
MOST_EVENTS = 100
"""Events of a request that its history has."""


@dataclass(frozen=True)
class ShownRequest(HumanRequestRow):
    """A request with the session's fields that its readers see."""

    owner_id: UUID
    session_title: str
    run_status: RunStatus


@dataclass(frozen=True)
class OpenRequest:
    id: UUID
    session_id: UUID
    escalated_at: datetime | None


def pending(
    conn: Conn, actor: Actor, *, session_id: UUID | None, after: tuple[str, UUID] | None = None, limit: int = 200
) -> RowPage[ShownRequest]:
    """Return requests that wait for the actor, oldest first. Raises NotFound for a session hidden from the actor.
    `after` is the (requestedAt, id) of the previous page's last request."""
    after_at, after_id = after or (None, None)
    requests = fetch_page(
        conn,
        "pending_human_requests",
        ShownRequest,
        bodies=BODIES,
        user_id=actor.user_id,
        called=_called(actor),
        session_id=session_id,
        after_at=after_at,
        after_id=after_id,
        limit=limit,
    )
    if session_id is not None and after is None and not requests:
        session_for(conn, actor, session_id)
    return requests


def requests_seen_by(
    conn: Conn,
    actor: Actor,
    *,
    session_id: UUID | None,
    are_open: Collection[bool],
    before: tuple[str, UUID] | None,
    limit: int,
) -> RowPage[ShownRequest]:
    """Return requests that the actor may see, newest first: open ones, closed ones, or both.

    Without a session those of the actor's own sessions, and those escalated to them. `before` is the (requestedAt, id)
    of the previous page's last request. Raises NotFound for a session hidden from the actor.
    """
    if session_id is not None:
        session_for(conn, actor, session_id)
    before_at, before_id = before or (None, None)
    return fetch_page(
        conn,
        "human_requests_seen",
        ShownRequest,
        bodies=BODIES,
        user_id=actor.user_id,
        called=_called(actor),
        session_id=session_id,
        are_open=list(are_open),
        before_at=before_at,
        before_id=before_id,
        limit=limit,
    )


def may_decide(actor: Actor, request: ShownRequest) -> bool:
    """Return whether the actor may answer the request now."""
    is_permitted = "human_loop:reply" in permissions_of(actor)
    return request.status == "open" and is_permitted and _may_answer(actor, request)


def request_for(conn: Conn, actor: Actor, request_id: UUID) -> ShownRequest:
    """Return the request if the actor may see, and so answer, it. Raises NotFound."""
    request = shown_request(conn, request_id)
    if not _may_answer(actor, request):
        raise NotFound(NO_SUCH, code="unknown_request")
    return request


def shown_request(conn: Conn, request_id: UUID) -> ShownRequest:
    """Return the request without a permission check. Raises NotFound."""
    request = fetch_one(conn, "human_request_shown", ShownRequest, request_id=request_id)
    if request is None:
        raise NotFound(NO_SUCH, code="unknown_request")
    return request


def changed_requests(conn: Conn, *, session_ids: Collection[UUID], known_open: Collection[UUID]) -> list[ShownRequest]:
    """Return the open requests of the sessions, and those known as open, whatever became of them."""
    return fetch_all(
        conn, "changed_human_requests", ShownRequest, session_ids=list(session_ids), known_open=list(known_open)
    )


def open_requests(conn: Conn) -> list[OpenRequest]:
    """Return all requests that are open, of everyone."""
    return fetch_all(conn, "open_human_requests", OpenRequest)


def history_of(conn: Conn, request: HumanRequestRow) -> list[Envelope]:
    """Return the log's first events of the request, oldest first: a page."""
    rows = fetch_page(
        conn,
        "events_of_request",
        EventRow,
        bodies=EVENT_BODIES,
        run_id=request.run_id,
        request_id=request.id,
        limit=MOST_EVENTS,
    )
    return rows.shown(envelope)


def _may_answer(actor: Actor, request: ShownRequest) -> bool:
    return actor.role == "admin" or waits_for(actor, request)


def waits_for(actor: Actor, request: ShownRequest) -> bool:
    """Whether the request is in the actor's list: of their own session, or escalated to them or a role of theirs."""
    if request.owner_id == actor.user_id:
        return True
    return request.escalated_at is not None and request.escalate_to in _called(actor)


def _called(actor: Actor) -> list[str]:
    """Return the names by which requests are escalated to the actor. Admins are also operators, everyone a member."""
    roles: tuple[Role, ...] = get_args(Role)
    return [actor.author, *(f"role:{role}" for role in roles[roles.index(actor.role) :])]

"""What agents ask and who may answer it: the owner of the session, admins, and those whom it was escalated to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args
from uuid import UUID

from handlers.access.permissions import Actor, session_for
from handlers.event_log import envelope
from schema.errors import NotFound
from schema.events import Envelope
from schema.rows import EventRow, HumanRequestRow, Role, RunStatus
from schema.sql import Conn, fetch_all, fetch_one

NO_SUCH = "There is no such request."


@dataclass(frozen=True)
class ShownRequest(HumanRequestRow):
    """A request with what its readers are shown beside it."""

    owner_id: UUID
    session_title: str
    run_status: RunStatus


def pending(
    conn: Conn, actor: Actor, *, session_id: UUID | None, after: tuple[str, UUID] | None = None, limit: int = 200
) -> list[ShownRequest]:
    """What waits for the actor, oldest first. Raises NotFound for a session that is nothing to them.
    `after` is the (requestedAt, id) of the last request of the page before."""
    after_at, after_id = after or (None, None)
    found = fetch_all(
        conn,
        "pending_human_requests",
        ShownRequest,
        user_id=actor.user_id,
        called=_called(actor),
        session_id=session_id,
        after_at=after_at,
        after_id=after_id,
        limit=limit,
    )
    if session_id is not None and after is None and not found:
        session_for(conn, actor, session_id)
    return found


def request_for(conn: Conn, actor: Actor, request_id: UUID) -> ShownRequest:
    """The request if the actor may see it, and so may answer it; raises NotFound."""
    request = shown_request(conn, request_id)
    if not _may_answer(actor, request):
        raise NotFound(NO_SUCH, code="unknown_request")
    return request


def shown_request(conn: Conn, request_id: UUID) -> ShownRequest:
    """The request, whoever asks; raises NotFound."""
    request = fetch_one(conn, "human_request_shown", ShownRequest, request_id=request_id)
    if request is None:
        raise NotFound(NO_SUCH, code="unknown_request")
    return request


def history_of(conn: Conn, request: HumanRequestRow) -> list[Envelope]:
    """What the log tells of it, oldest first."""
    rows = fetch_all(conn, "events_of_request", EventRow, run_id=request.run_id, request_id=request.id)
    return [envelope(row) for row in rows]


def _may_answer(actor: Actor, request: ShownRequest) -> bool:
    if request.owner_id == actor.user_id or actor.role == "admin":
        return True
    return request.escalated_at is not None and request.escalate_to in _called(actor)


def _called(actor: Actor) -> list[str]:
    """By which names a request is escalated to the actor: an admin is an operator too, and everyone a member."""
    roles: tuple[Role, ...] = get_args(Role)
    return [actor.author, *(f"role:{role}" for role in roles[roles.index(actor.role) :])]

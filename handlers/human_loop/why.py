"""Explain a request's status: who may answer it, until when, and the outcome of the answer."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from handlers.access.permissions import Actor
from handlers.human_loop.pending import ShownRequest, history_of, request_for, shown_request
from schema.sql import Conn
from schema.why_api import HumanRequestWhy, Why
from schema.worker_api import Happened

AT_THE_DEADLINE = {
    "wait": "nothing happens: it waits on",
    "deny": "it is denied in nobody's name",
    "park": "its run is parked, and the question stays open",
    "escalate": "it is put to somebody else as well",
}


def why_request(conn: Conn, actor: Actor, request_id: UUID) -> HumanRequestWhy:
    """Explain a request. Operators may ask about all, others about those that they may answer. Raises NotFound."""
    request = request_for(conn, actor, request_id) if actor.role == "member" else shown_request(conn, request_id)
    told = reversed(history_of(conn, request))
    return HumanRequestWhy(
        **dict(_EXPLAINED[request.status](request)),
        request_id=request.id,
        run_id=request.run_id,
        session_id=request.session_id,
        state=request.status,
        history=[Happened(at=each.at, what=each.type, detail=each.data) for each in told],
    )


def _open(request: ShownRequest) -> Why:
    asked = [f"user:{request.owner_id}"]
    if request.escalated_at is not None and request.escalate_to is not None:
        asked.append(request.escalate_to)
    then = "" if request.expires_at is None else f" At the deadline {AT_THE_DEADLINE[request.on_expiry]}."
    parked = " Its run is parked until then." if request.run_status == "parked" else ""
    return Why(
        reason=f"Nobody has answered yet.{then}{parked}",
        blocked_by=[f"an answer of {' or '.join(asked)}"],
        owner=asked[-1],
        next_deadline=request.expires_at,
        next_job="expire_requests" if request.expires_at is not None else None,
    )


def _decided(request: ShownRequest) -> Why:
    if request.run_status in ("running", "waiting", "cancelling"):
        said = "The answer is on its way to the agent."
        return Why(reason=said, blocked_by=[], owner=request.decided_by, next_job="deliver_answer")
    said = "The answer waits for the run's next attempt to ask the same call again."
    return Why(reason=said, blocked_by=[f"run {request.run_id}"], owner=request.decided_by, next_job="execute_run")


def _ended(request: ShownRequest) -> Why:
    told = "" if request.outcome_told is None else f" Told: {request.outcome_told}"
    reasons = {
        "applied": "The agent was given the answer.",
        "void": "The answer was applied to nothing.",
        "expired": "Nobody answered in time, so it was denied in nobody's name.",
        "cancelled": "Nobody decided it: the agent does not ask any more.",
    }
    is_on_its_way = request.status == "expired" and request.settled_at is None
    return Why(
        reason=f"{reasons[request.status]}{told}",
        blocked_by=[],
        owner=request.decided_by,
        next_job="deliver_answer" if is_on_its_way else None,
    )


_EXPLAINED: dict[str, Callable[[ShownRequest], Why]] = {
    "open": _open,
    "answered": _decided,
    "delivering": _decided,
    "applied": _ended,
    "void": _ended,
    "expired": _ended,
    "cancelled": _ended,
}

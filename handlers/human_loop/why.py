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
    "wait": "the request stays open",
    "deny": "the request is denied automatically",
    "park": "the run is parked, and the request stays open",
    "escalate": "the request also goes to a second person",
}


def why_request(conn: Conn, actor: Actor, request_id: UUID) -> HumanRequestWhy:
    """Explain a request. Operators may ask about all, others about those that they may answer. Raises NotFound."""
    request = request_for(conn, actor, request_id) if actor.role == "member" else shown_request(conn, request_id)
    events = reversed(history_of(conn, request))
    return HumanRequestWhy(
        **dict(_EXPLAINED[request.status](request)),
        request_id=request.id,
        run_id=request.run_id,
        session_id=request.session_id,
        state=request.status,
        history=[Happened(at=event.at, what=event.type, detail=event.data) for event in events],
    )


def _open(request: ShownRequest) -> Why:
    deciders = [f"user:{request.owner_id}"]
    if request.escalated_at is not None and request.escalate_to is not None:
        deciders.append(request.escalate_to)
    then = "" if request.expires_at is None else f" At the deadline {AT_THE_DEADLINE[request.on_expiry]}."
    parked = " The run is parked until then." if request.run_status == "parked" else ""
    return Why(
        reason=f"The request has no answer yet.{then}{parked}",
        code="unanswered",
        values={"onExpiry": request.on_expiry if request.expires_at is not None else "wait"},
        blocked_by=[f"an answer of {' or '.join(deciders)}"],
        owner=deciders[-1],
        next_deadline=request.expires_at,
        next_job="expire_requests" if request.expires_at is not None else None,
    )


def _decided(request: ShownRequest) -> Why:
    if request.run_status in ("running", "waiting", "cancelling"):
        said = "The answer is on its way to the agent."
        return Why(
            reason=said,
            code="answer_on_its_way",
            blocked_by=[],
            owner=request.decided_by,
            next_job="deliver_answer",
        )
    said = "The answer waits until the run's next attempt repeats the same call."
    return Why(
        reason=said,
        code="answer_kept",
        blocked_by=[f"run {request.run_id}"],
        owner=request.decided_by,
        next_job="execute_run",
    )


def _ended(request: ShownRequest) -> Why:
    outcome = "" if request.outcome_told is None else f" Told: {request.outcome_told}"
    reasons = {
        "applied": "The agent received the answer.",
        "void": "The answer had no effect.",
        "expired": "No answer arrived in time, so the request was denied automatically.",
        "cancelled": "The request was withdrawn without an answer.",
    }
    is_on_its_way = request.status == "expired" and request.settled_at is None
    return Why(
        reason=f"{reasons[request.status]}{outcome}",
        code=f"request_{request.status}",
        values={} if request.outcome_told is None else {"told": request.outcome_told},
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

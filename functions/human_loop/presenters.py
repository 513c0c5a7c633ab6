"""Present human requests as wire answers."""

from __future__ import annotations

from functions.human_loop.schemas import HumanRequestAnswer, HumanRequestDetailAnswer, ShownRequestAnswer
from handlers.access.permissions import Actor
from handlers.human_loop.pending import ShownRequest, may_decide
from schema.events import Envelope
from schema.rows import HumanRequestRow


def human_request_answer(request: HumanRequestRow) -> HumanRequestAnswer:
    return HumanRequestAnswer(
        request_id=request.id,
        session_id=request.session_id,
        run_id=request.run_id,
        kind=request.kind,
        status=request.status,
        title=request.title,
        tool_call=request.tool_call,
        options=request.options,
        schema=request.answer_schema,
        requested_at=request.requested_at,
        expires_at=request.expires_at,
        on_expiry=request.on_expiry,
    )


def shown_request_answer(request: ShownRequest, actor: Actor) -> ShownRequestAnswer:
    diffs = (request.tool_call or {}).get("diffs")
    diffs = [diff for diff in diffs if isinstance(diff, dict)] if isinstance(diffs, list) else None
    return ShownRequestAnswer(
        **dict(human_request_answer(request)),
        session_title=request.session_title,
        run_status=request.run_status,
        diffs=diffs,
        may_decide=may_decide(actor, request),
        decision=(request.answer or {}).get("decision"),
        decided_by=request.decided_by,
        decided_at=request.decided_at,
        escalated_to=request.escalate_to if request.escalated_at is not None else None,
        escalated_at=request.escalated_at,
    )


def request_detail_answer(request: ShownRequest, actor: Actor, history: list[Envelope]) -> HumanRequestDetailAnswer:
    return HumanRequestDetailAnswer(
        **dict(shown_request_answer(request, actor)),
        fingerprint=request.fingerprint,
        attempt=request.attempt,
        answer=request.answer,
        told=request.outcome_told,
        settled_at=request.settled_at,
        history=history,
    )

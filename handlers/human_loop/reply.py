"""Store a person's answer to a request, once, with its author, and deliver it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from handlers.access.permissions import Actor
from handlers.enqueue import defer_delivery
from handlers.event_log import NewEvent, append, hold_session, run_event
from handlers.human_loop.pending import request_for
from handlers.human_loop.session_answers import equal_open_requests
from handlers.providers.registry import RegisteredProvider, find_provider
from handlers.runs.parking import go_on_if_free
from handlers.runs.stop import StopPolicy, stop
from schema.errors import AlreadyAnswered, CapabilityMissing, Invalid
from schema.executor_api import Answer
from schema.forms import faults_of
from schema.rows import HumanRequestRow, RunRow
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_the, jsonb
from schema.wire import Json

Decision = Literal["allow", "allow_always", "deny", "answer", "cancel"]
_FITTING: dict[str, tuple[Decision, ...]] = {
    "permission": ("allow", "allow_always", "deny", "cancel"),
    "question": ("answer", "deny", "cancel"),
}


@dataclass(frozen=True, kw_only=True)
class HumanReply:
    """A person's answer. `option_id` picks an option of the agent; `answers` fills a question's form."""

    request_id: UUID
    decision: Decision
    option_id: str | None = None
    reason: str | None = None
    answers: Json | None = None
    arguments: Json | None = None


@dataclass(frozen=True)
class AnswerDelivery:
    """A stored answer on its way to its run's executor."""

    request: HumanRequestRow
    run: RunRow
    answer: Answer


def reply(conn: Conn, actor: Actor, answer: HumanReply, *, stop_policy: StopPolicy) -> HumanRequestRow:
    """Store the answer and enqueue its delivery, or stop the run when the decision is `cancel`. A lasting answer also
    settles the run's other open requests for the very same call.

    Raises AlreadyAnswered (with the request's status), Invalid for a decision that does not fit, and CapabilityMissing
    for an answer that the agent cannot receive.
    """
    seen = request_for(conn, actor, answer.request_id)
    _refuse_unfit_answers(seen, answer)
    head = hold_session(conn, seen.session_id)
    request = request_for(conn, actor, answer.request_id)
    if request.status != "open":
        raise AlreadyAnswered(_why_closed(request), requestId=str(request.id), requestStatus=request.status)
    run = fetch_the(conn, "run_by_id", RunRow, run_id=request.run_id)
    _refuse_unsupported(None if run.bound else find_provider(conn, run.provider), request, answer)
    _refuse_unfitting(request, answer)
    equal = equal_open_requests(conn, request) if answer.decision == "allow_always" else []
    answered = [replace(answer, request_id=each.id) for each in (request, *equal)]
    events = [_store(conn, run, actor, each) for each in answered]
    if answer.decision == "cancel":
        events += stop(conn, run, author=actor.author, policy=stop_policy)
    else:
        events += go_on_if_free(conn, run)
        if run.status != "parked":
            for each in answered:
                defer_delivery(conn, each.request_id)
    append(conn, head, events)
    return request_for(conn, actor, answer.request_id)


def _why_closed(request: HumanRequestRow) -> str:
    """Say why a request that is not open takes no answer."""
    if request.status in ("answered", "delivering", "applied"):
        return "This request was answered already."
    if request.status == "expired":
        return "The time for an answer to this request is over."
    return "This request is closed: nothing waits for its answer any more."


def _store(conn: Conn, run: RunRow, actor: Actor, answer: HumanReply) -> NewEvent:
    stored = jsonb(_stored(answer).to_json())
    execute(conn, "answer_human_request", request_id=answer.request_id, answer=stored, decided_by=actor.author)
    return run_event(run, "human_loop.resolved", _resolved(answer, actor), author=actor.author)


def begin_delivery(conn: Conn, request_id: UUID) -> AnswerDelivery | None:
    """Return the answer to deliver now. None when the agent that asked is gone: it had the answer, or the answer is
    carried to the run's next attempt."""
    request = fetch_one(conn, "human_request", HumanRequestRow, request_id=request_id)
    if request is None:
        return None
    hold_session(conn, request.session_id)
    request = fetch_one(conn, "deliver_human_request", HumanRequestRow, request_id=request_id)
    if request is None:
        return None
    run = fetch_the(conn, "run_by_id", RunRow, run_id=request.run_id)
    return AnswerDelivery(request=request, run=run, answer=Answer.model_validate(request.answer))


def void_answer(conn: Conn, request_id: UUID, *, told: str) -> None:
    """Void an answer that no agent waits for, and log that. The answer of a run that parked or lost its agent meanwhile
    is carried to its next attempt instead."""
    request = fetch_one(conn, "human_request", HumanRequestRow, request_id=request_id)
    if request is None:
        return
    head = hold_session(conn, request.session_id)
    run = fetch_the(conn, "run_by_id", RunRow, run_id=request.run_id)
    if run.status not in ("running", "waiting", "cancelling") or run.attempt != request.attempt:
        return
    if not execute(conn, "settle_human_request", request_id=request_id, run_id=run.id, status="void", told=told):
        return
    data = {"requestId": str(request_id), "outcome": "void", "told": told}
    append(conn, head, [run_event(run, "human_loop.applied", data)])


def undelivered(conn: Conn, *, older_than_seconds: float, limit: int = 100) -> list[UUID]:
    """Return requests whose answer is overdue for delivery."""
    rows = fetch_all(conn, "answers_to_deliver", _Id, older_than_seconds=older_than_seconds, limit=limit)
    return [row.id for row in rows]


@dataclass(frozen=True)
class _Id:
    id: UUID


def _refuse_unsupported(provider: RegisteredProvider | None, request: HumanRequestRow, answer: HumanReply) -> None:
    """Raise CapabilityMissing for an answer that the agent cannot receive."""
    effective = provider.effective if provider else {}
    if answer.arguments is not None:
        raise CapabilityMissing("The agent does not support edited arguments.", capability="arguments")
    if answer.decision == "answer" and request.kind != "question" and not effective.get("questions", True):
        raise CapabilityMissing("The agent does not support questions.", capability="questions")
    if answer.reason is not None and answer.decision == "deny" and not effective.get("denyReason", True):
        raise CapabilityMissing("The agent does not support a reason for a denial.", capability="denyReason")


def _refuse_unfitting(request: HumanRequestRow, answer: HumanReply) -> None:
    fitting = _FITTING[request.kind]
    if answer.decision not in fitting:
        raise Invalid(f"A {request.kind} accepts these decisions: {', '.join(fitting)}.", code="decision_does_not_fit")
    if answer.decision == "answer" and answer.answers is None:
        raise Invalid("An answer to a question needs `answers`.", code="answers_missing")
    kinds = {str(option["optionId"]): str(option["kind"]) for option in request.options or []}
    if answer.option_id is not None and answer.option_id not in kinds:
        raise Invalid(f"The agent offers these options: {', '.join(kinds)}.", code="unknown_option")
    if answer.option_id is not None and not _agree(answer.decision, kinds[answer.option_id]):
        raise Invalid(
            f"The option {answer.option_id} does not match the decision {answer.decision}.",
            code="decision_does_not_fit",
        )
    if answer.decision == "allow_always" and "allow_always" not in kinds.values():
        raise CapabilityMissing(
            "The agent does not offer a lasting permission for this request.", capability="allowAlways"
        )


def _refuse_unfit_answers(request: HumanRequestRow, answer: HumanReply) -> None:
    """Check the answers against the form, which never changes: so no session is locked meanwhile."""
    if request.status != "open" or request.kind != "question" or answer.decision != "answer":
        return
    if faults := faults_of(answer.answers or {}, request.answer_schema or {}):
        errors = [{"where": f"answers.{name}"[:200], "problem": problem} for name, problem in faults.items()]
        detail = "; ".join(f"{each['where']}: {each['problem']}" for each in errors[:3])
        raise Invalid(detail, code="answers_do_not_fit", errors=errors)


def _agree(decision: Decision, option_kind: str) -> bool:
    """Return whether the picked option agrees with the decision, so that the log states a single outcome."""
    if decision == "deny":
        return option_kind.startswith("reject")
    return option_kind == {"allow": "allow_once", "allow_always": "allow_always"}.get(decision)


def _stored(answer: HumanReply) -> Answer:
    return Answer(
        request_id=answer.request_id,
        decision=answer.decision,
        option_id=answer.option_id,
        reason=answer.reason,
        answers=answer.answers,
    )


def _resolved(answer: HumanReply, actor: Actor) -> Json:
    return {**_stored(answer).to_json(), "by": actor.author}

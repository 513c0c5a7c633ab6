"""Apply the effect of each event type on the run, its requests and its usage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError

from handlers.event_log import NewEvent, run_event
from handlers.human_loop.approval_rules import decide_by_rule
from handlers.human_loop.session_answers import decide_as_before
from handlers.providers.registry import can_resume, record_agent_claims
from handlers.run_warnings import MOST_WARNINGS, record_warning, warn_once
from handlers.runs.parking import PARK_UNSUPPORTED, can_park, go_on_if_free, lose_attempt, waits_for_people
from handlers.runs.settle import RetryPolicy, settle, void_taken
from handlers.runs.todos import LEFT_OUT, TODOS_LEFT_OUT, replace_todos
from handlers.workspaces.sync import COALESCE_SECONDS, mark_dirty
from schema.approval_rules import ApprovalRuleRow
from schema.errors import Invalid
from schema.events import (
    AgentLost,
    HumanApplied,
    HumanRequested,
    RunFinished,
    RunStarted,
    TodoUpdate,
    Usage,
)
from schema.forms import fault_of_form
from schema.human_policy import HumanPolicy
from schema.rows import HumanRequestRow, RunRow
from schema.sql import Conn, execute, fetch_one, fetch_the, fetch_value, jsonb
from schema.wire import Json

T = TypeVar("T", bound=BaseModel)
AGENT_LOST = "agent_lost"
MOST_OPEN_REQUESTS = 200
"""Open requests of an attempt: twice those that an executor lets an agent have at once."""
MOST_OPEN_BYTES = 16 << 20
"""An attempt whose open requests have so many bytes as JSON gets no further one."""
LONGEST_TITLE = 4096
"""Characters that a request's row keeps of its title, and of what its agent was told. The events have all."""
AGENT_GONE = frozenset({"agent_crashed", "agent_lost"})
"""Why an executor ends a run whose agent is gone, although the run itself may go on with another."""


@dataclass(frozen=True)
class Arrival:
    """An event of a live run on its way into the log. The session is locked. `seq` is the number of the first event
    that results from it. `rules` decide requests, by their ids; they were chosen before the lock. `superseded` are the
    ids of updates of todos that only the log keeps."""

    conn: Conn
    run: RunRow
    event: NewEvent
    retry: RetryPolicy
    seq: int
    rules: Mapping[UUID, ApprovalRuleRow] = field(default_factory=dict)
    superseded: frozenset[UUID] = frozenset()


def apply_event(arrival: Arrival) -> list[NewEvent]:
    """Apply the event; return the events to append, this event among them. Raises Invalid for unfit data."""
    return _EFFECTS[arrival.event.type](arrival)


def has_effect(type_: str) -> bool:
    """Return whether events of this type do more than extend the log."""
    return type_ in _EFFECTS


def only_extends_log(run: RunRow, event: NewEvent) -> bool:
    """Return whether this event of the run has no effect: also a warning for which the run's row has no room."""
    is_warning = event.type == "run.warning" and event.data.get("code") != AGENT_LOST
    return event.late or not has_effect(event.type) or (is_warning and len(run.warnings) >= MOST_WARNINGS)


def _run_started(a: Arrival) -> list[NewEvent]:
    started = _parse(RunStarted, a.event)
    execute(a.conn, "mark_prompt_delivered", run_id=a.run.id)
    began = execute(a.conn, "begin_run", run_id=a.run.id)
    if started.agent and not a.run.bound:
        record_agent_claims(a.conn, a.run.provider, started.agent)
    if started.agent_session_id and can_resume(a.conn, a.run.provider):
        execute(
            a.conn,
            "remember_conversation",
            session_id=a.run.session_id,
            provider=a.run.provider,
            agent_session_id=started.agent_session_id,
            run_id=a.run.id,
        )
    mark_dirty(a.conn, a.run)
    status = "running" if began else a.run.status
    return [replace(a.event, data={**a.event.data, "status": status, "provider": a.run.provider})]


def _message_stopped(a: Arrival) -> list[NewEvent]:
    """Sync the workspace soon: a message has ended."""
    mark_dirty(a.conn, a.run, within_seconds=COALESCE_SECONDS)
    return [a.event]


def _todos_updated(a: Arrival) -> list[NewEvent]:
    update = _parse(TodoUpdate, a.event)
    if a.event.id in a.superseded or replace_todos(a.conn, a.run, update, seq=a.seq):
        return [a.event]
    return [a.event, *warn_once(a.conn, a.run, code=TODOS_LEFT_OUT, message=LEFT_OUT)]


def _human_requested(a: Arrival) -> list[NewEvent]:
    requested = _parse(HumanRequested, a.event)
    if (fault := fault_of_form(requested.schema_ or {})) is not None:
        raise Invalid(fault, code="form_too_large")
    _require_room(a)
    policy = _policy(a)
    replaces = _replaced(a, requested)
    stored = fetch_one(
        a.conn,
        "insert_human_request",
        HumanRequestRow,
        id=requested.request_id,
        session_id=a.run.session_id,
        run_id=a.run.id,
        attempt=a.run.attempt,
        kind=requested.kind,
        title=requested.title[:LONGEST_TITLE],
        fingerprint=requested.fingerprint,
        tool_call=None if requested.tool_call is None else jsonb(requested.tool_call),
        options=None if requested.options is None else jsonb([option.to_json() for option in requested.options]),
        answer_schema=None if requested.schema_ is None else jsonb(requested.schema_),
        expires_in=None if policy.on_expiry == "wait" else policy.expiry_seconds,
        on_expiry=policy.on_expiry,
        expiry_seconds=policy.escalation_seconds,
        then_on_expiry=policy.then,
        escalate_to=policy.escalate_to,
        replaces=replaces,
    )
    if stored is None:
        raise Invalid("A request with this id exists already.", code="request_id_taken")
    told_replaces = {} if replaces is None else {"replaces": str(replaces)}
    event = replace(a.event, data={**a.event.data, **_expiry(stored), **told_replaces})
    if decided := decide_by_rule(a.conn, a.run, requested, a.rules.get(requested.request_id)):
        return [event, *decided]
    if decided := decide_as_before(a.conn, a.run, requested):
        return [event, *decided]
    events = [event, *_warn_of_restart(a)]
    if not execute(a.conn, "await_human", run_id=a.run.id):
        return events
    return [*events, run_event(a.run, "run.waiting", {"status": "waiting", "provider": a.run.provider})]


def _require_room(a: Arrival) -> None:
    """Raise Invalid when the attempt has too many open requests: who shows the session reads all of them."""
    bounds = {"most": MOST_OPEN_REQUESTS, "most_bytes": MOST_OPEN_BYTES}
    if not fetch_value(a.conn, "has_room_for_request", run_id=a.run.id, attempt=a.run.attempt, **bounds):
        most = f"{MOST_OPEN_REQUESTS} open requests, of {MOST_OPEN_BYTES >> 20} MiB before the last one"
        raise Invalid(f"A run has at most {most}.", code="too_many_open_requests")


def _policy(a: Arrival) -> HumanPolicy:
    """Return the policy for unanswered requests. A run that could not be resumed is never parked."""
    policy = HumanPolicy.model_validate({"onExpiry": "wait", **a.run.human_loop})
    if a.run.bound or can_park(a.conn, a.run):
        return policy
    waits = {"on_expiry": "wait"} if policy.on_expiry == "park" else {"then": "wait"}
    return policy.model_copy(update=waits if policy.parks else {})


def _warn_of_restart(a: Arrival) -> list[NewEvent]:
    """Return a warning, once a run, when the run could not be resumed: the end of its agent is its own end."""
    if a.run.bound or can_park(a.conn, a.run):
        return []
    message = (
        "This agent cannot resume its conversation. The run waits for as long as it takes, and a restart of its "
        "session worker ends it."
    )
    return warn_once(a.conn, a.run, code=PARK_UNSUPPORTED, message=message)


def _replaced(a: Arrival, requested: HumanRequested) -> UUID | None:
    """Return the request that this one stands in for: its answer came after the agent had ended, and the resumed agent
    asks for something else. An equal call is answered by the executor and never arrives here."""
    replaced: UUID | None = fetch_value(a.conn, "request_to_replace", run_id=a.run.id, attempt=a.run.attempt)
    return None if replaced == requested.request_id else replaced


def _expiry(request: HumanRequestRow) -> Json:
    expires_at = None if request.expires_at is None else request.expires_at.isoformat()
    return {"expiresAt": expires_at, "onExpiry": request.on_expiry}


def _human_applied(a: Arrival) -> list[NewEvent]:
    applied = _parse(HumanApplied, a.event)
    outcome = {"request_id": applied.request_id, "run_id": a.run.id, "told": applied.told[:LONGEST_TITLE]}
    if execute(a.conn, "settle_human_request", status=applied.outcome, **outcome):
        return [a.event]
    if not execute(a.conn, "withdraw_human_request", **outcome):
        raise Invalid("This run has no such request to settle.", code="unknown_request")
    return [a.event, *go_on_if_free(a.conn, a.run)]


def _usage(a: Arrival) -> list[NewEvent]:
    used = merged_usage(Usage.model_validate(a.run.usage or {}), _parse(Usage, a.event))
    execute(a.conn, "record_usage", run_id=a.run.id, usage=jsonb(used.to_json()))
    return [a.event]


def merged_usage(known: Usage, reported: Usage) -> Usage:
    """Merge usage: the greater of each bucket, since counts come partial and repeated; the latest context and cost."""
    buckets = ("input_tokens", "output_tokens", "cached_read_tokens", "cached_write_tokens")
    greatest = {
        name: max((n for n in (getattr(known, name), getattr(reported, name)) if n is not None), default=None)
        for name in buckets
    }
    latest = {
        name: getattr(known, name) if getattr(reported, name) is None else getattr(reported, name)
        for name in ("context_used", "context_size", "cost")
    }
    return Usage(**greatest, **latest)


def _warned(a: Arrival) -> list[NewEvent]:
    if a.event.data.get("code") != AGENT_LOST:
        code, message = str(a.event.data.get("code", "warning")), str(a.event.data.get("message", ""))
        record_warning(a.conn, a.run, code=code, message=message)
        return [a.event]
    lost = _parse(AgentLost, a.event)
    if a.run.status == "parked":  # its agent is expected to end
        return [a.event, *void_taken(a.conn, a.run, lost.taken)]
    message = "The executor was restarted while the agent worked."
    run = _without_delivery(a) if lost.prompt_delivered is False else a.run
    return [a.event, *lose_attempt(a.conn, run, a.retry, code=AGENT_LOST, message=message, taken=lost.taken)]


def _without_delivery(a: Arrival) -> RunRow:
    """Take back `prompt_delivered`: the agent was ready, but the executor knows that it never sent the prompt."""
    execute(a.conn, "take_back_delivery", run_id=a.run.id)
    execute(a.conn, "forget_empty_conversation", run_id=a.run.id)
    return fetch_the(a.conn, "run_by_id", RunRow, run_id=a.run.id)


def _finished(a: Arrival) -> list[NewEvent]:
    finished = _parse(RunFinished, a.event)
    if finished.status in ("failed", "blocked") and finished.reason is None:
        raise Invalid("A run that did not succeed needs a reason.", code="reason_missing")
    if finished.reason is not None and finished.reason.code in AGENT_GONE and waits_for_people(a.conn, a.run):
        warning = record_warning(a.conn, a.run, code=finished.reason.code, message=finished.reason.message)
        lost = lose_attempt(a.conn, a.run, a.retry, code=finished.reason.code, message=finished.reason.message)
        return [replace(a.event, type="run.warning", data=warning), *lost]
    outcome, released = settle(a.conn, _ready_to_end(a.conn, a.run, finished), finished)
    return [*released, replace(a.event, data=outcome.to_json())]


def _ready_to_end(conn: Conn, run: RunRow, finished: RunFinished) -> RunRow:
    """Move the run to a status from which the reported end is allowed: the transition table has no shortcuts."""
    if finished.status == "cancelled":
        execute(conn, "begin_cancelling", run_id=run.id, deadline_seconds=0)
    elif finished.status == "succeeded":
        execute(conn, "begin_run", run_id=run.id)
        execute(conn, "unpark_run", run_id=run.id)
        execute(conn, "resume_run", run_id=run.id)
    return fetch_the(conn, "run_by_id", RunRow, run_id=run.id)


def _parse(model: type[T], event: NewEvent) -> T:
    try:
        return model.model_validate(event.data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Invalid(
            f"The data of {event.type} does not fit: {where}: {first['msg']}.", code="bad_event_data"
        ) from None


_EFFECTS: dict[str, Callable[[Arrival], list[NewEvent]]] = {
    "run.started": _run_started,
    "message.stop": _message_stopped,
    "todo.update": _todos_updated,
    "human_loop.requested": _human_requested,
    "human_loop.applied": _human_applied,
    "usage.update": _usage,
    "run.warning": _warned,
    "run.finished": _finished,
}

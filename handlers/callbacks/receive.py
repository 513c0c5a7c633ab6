"""Receive events of a run: store each once, in order, and apply its effects in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from uuid import UUID

from handlers.callbacks.apply_event import Arrival, apply_event, only_extends_log
from handlers.callbacks.event_limit import MOST_EVENTS, events_to_store, is_beyond_limit, stop_beyond_limit
from handlers.event_log import EXECUTOR, NewEvent, append, hold_session
from handlers.human_loop.approval_rules import deciding_rules
from handlers.runs.settle import RetryPolicy
from handlers.runs.stop import StopPolicy
from handlers.runs.todos import superseded_updates
from schema.approval_rules import ApprovalRuleRow
from schema.errors import (
    EventGap,
    EventNumberConflict,
    Invalid,
    NotFound,
    StaleAttempt,
    StaleEpoch,
)
from schema.events import EXECUTOR_MAY_NOT_AUTHOR, SourceEvent
from schema.executor_api import CallbackAnswer, CallbackBody
from schema.rows import LogHead, RunRow
from schema.signature import callback_key
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_value
from schema.wire import Json

DEFAULT_STOP = StopPolicy(deadline_seconds=30)


@dataclass(frozen=True)
class CallbackPolicy:
    """`lease_seconds`: how long a run lives without a callback. `stop` is for runs beyond the limit of events."""

    lease_seconds: float
    retry: RetryPolicy
    stop: StopPolicy = DEFAULT_STOP


def callback_keys(conn: Conn, secrets: Iterable[bytes], *, run_id: UUID, attempt: int | None) -> list[str]:
    """Return the valid keys of this attempt's callbacks, for each secret key: two while a bound run's key is being
    rotated. None is the run's current attempt."""
    run = _run(conn, run_id)
    generations = [run.key_generation]
    if fetch_value(conn, "previous_key_is_valid", run_id=run_id):
        generations.append(run.key_generation - 1)
    signed = run.attempt if attempt is None else attempt
    return [
        callback_key(secret, run_id=run_id, attempt=signed, generation=generation)
        for secret in secrets
        for generation in generations
    ]


def receive_callback(conn: Conn, run_id: UUID, body: CallbackBody, *, policy: CallbackPolicy) -> CallbackAnswer:
    """Store a call's events, all or none; no events is a heartbeat. The caller has checked the signature.

    Raises StaleEpoch, StaleAttempt, EventGap (with the expected number), EventNumberConflict, and Invalid for a type
    that an executor may not author or data that does not fit its type. Events beyond the limit are accepted, not
    stored, and stop the run.
    """
    seen = _run(conn, run_id)
    rules = deciding_rules(conn, seen, _asked_calls(body.events))
    head = hold_session(conn, seen.session_id)
    run = _run(conn, run_id)
    _refuse_stale(run, body)
    fresh = _fresh(conn, run, body.events, head=head)
    kept = events_to_store(conn, run, fresh)
    run, events = _apply_all(conn, run, kept, head=head, policy=policy, rules=rules)
    if len(kept) < len(fresh):
        events += stop_beyond_limit(conn, run, policy.stop)
        run = _run(conn, run_id)
    head = append(conn, head, events)
    _extend_lease(conn, run, fresh, policy=policy)
    return CallbackAnswer(
        accepted=len(fresh),
        duplicates=len(body.events) - len(fresh),
        last_seq=head.last_seq,
        stop_requested=run.status == "cancelling" or len(kept) < len(fresh),
    )


def _run(conn: Conn, run_id: UUID) -> RunRow:
    run = fetch_one(conn, "run_by_id", RunRow, run_id=run_id)
    if run is None:
        raise NotFound("There is no such run.", code="unknown_run")
    return run


def _refuse_stale(run: RunRow, body: CallbackBody) -> None:
    if run.epoch is None or body.epoch != run.epoch:
        raise StaleEpoch(epoch=run.epoch)
    if body.attempt != run.attempt or run.status == "queued":
        raise StaleAttempt(attempt=run.attempt)


def _fresh(conn: Conn, run: RunRow, events: list[SourceEvent], *, head: LogHead) -> list[SourceEvent]:
    """Return the events that the log does not have yet."""
    for event in events:
        if event.type in EXECUTOR_MAY_NOT_AUTHOR:
            raise Invalid(f"A source may not author {event.type}.", code="type_not_authorable", type=event.type)
    numbered = [event for event in events if event.n is not None]
    if len(numbered) == len(events):
        return _fresh_by_number(conn, run, events, head=head)
    if numbered or not run.bound:
        raise Invalid("Number every event of the run by `n`, or (for a bound run) none.", code="n_missing")
    return _fresh_by_id(conn, run, events)


def _fresh_by_number(conn: Conn, run: RunRow, events: list[SourceEvent], *, head: LogHead) -> list[SourceEvent]:
    last_n = head.last_n if head.run_id == run.id else _last_number(conn, run)
    numbers = [event.n or 0 for event in events]
    known = [event for event in events if (event.n or 0) <= last_n]
    fresh = [event for event in events if (event.n or 0) > last_n]
    expected = list(range(last_n + 1, last_n + 1 + len(fresh)))
    has_gap = [event.n for event in fresh] != expected and not (head.run_id != run.id and last_n >= MOST_EVENTS)
    if has_gap or numbers != sorted(set(numbers)):
        raise EventGap(f"Send again from n = {last_n + 1}, in order.", expected=last_n + 1)
    if known:
        _refuse_other_ids(conn, run, known)
    return fresh


def _last_number(conn: Conn, run: RunRow) -> int:
    """Return the number of the attempt's last event in the log; 0 without events."""
    last_n: int | None = fetch_value(conn, "last_number", run_id=run.id, attempt=run.attempt)
    return last_n or 0


@dataclass(frozen=True)
class _StoredNumber:
    n: int
    id: UUID


def _refuse_other_ids(conn: Conn, run: RunRow, known: list[SourceEvent]) -> None:
    stored = fetch_all(
        conn,
        "stored_numbers",
        _StoredNumber,
        run_id=run.id,
        attempt=run.attempt,
        low=known[0].n,
        high=known[-1].n,
    )
    ids = {row.n: row.id for row in stored}
    for event in known:
        if ids.get(event.n or 0, event.id if is_beyond_limit(event) else None) != event.id:
            raise EventNumberConflict(f"n = {event.n} was stored with another id.", n=event.n)


def _fresh_by_id(conn: Conn, run: RunRow, events: list[SourceEvent]) -> list[SourceEvent]:
    unique = {event.id: event for event in events}
    stored = fetch_all(conn, "stored_ids", _StoredId, run_id=run.id, ids=list(unique))
    known = {row.id for row in stored}
    return [event for id_, event in unique.items() if id_ not in known]


@dataclass(frozen=True)
class _StoredId:
    id: UUID


def _asked_calls(events: list[SourceEvent]) -> dict[UUID, Json]:
    """Return the tool calls that agents ask permission for, by the ids of their requests. Unfit data is refused when
    its event is applied."""
    calls: dict[UUID, Json] = {}
    for event in events:
        if event.type == "human_loop.requested" and event.data.get("kind") == "permission":
            call = event.data.get("toolCall")
            with suppress(ValueError):
                calls[UUID(str(event.data.get("requestId")))] = call if isinstance(call, dict) else {}
    return calls


def _apply_all(
    conn: Conn,
    run: RunRow,
    fresh: list[SourceEvent],
    *,
    head: LogHead,
    policy: CallbackPolicy,
    rules: Mapping[UUID, ApprovalRuleRow],
) -> tuple[RunRow, list[NewEvent]]:
    """Apply all events; return the run afterwards and the events to append, including their effects."""
    events: list[NewEvent] = []
    superseded = superseded_updates(fresh)
    for event in fresh:
        new = _new_event(run, event)
        if only_extends_log(run, new):
            events.append(new)
            continue
        seq = head.last_seq + len(events) + 1
        events += apply_event(Arrival(conn, run, new, policy.retry, seq=seq, rules=rules, superseded=superseded))
        run = _run(conn, run.id)
    return run, events


def _new_event(run: RunRow, event: SourceEvent) -> NewEvent:
    return NewEvent(
        type=event.type,
        data=event.data,
        author=EXECUTOR,
        run_id=run.id,
        attempt=run.attempt,
        id=event.id,
        n=event.n,
        at=event.at.astimezone(UTC),
        late=run.is_final or run.status == "queued",
    )


def _extend_lease(conn: Conn, run: RunRow, fresh: list[SourceEvent], *, policy: CallbackPolicy) -> None:
    """Extend the run's lease. The query skips a run that is not its session's live run any more."""
    numbered = sum(event.n is not None for event in fresh)
    execute(conn, "extend_lease", run_id=run.id, numbered=numbered, lease_seconds=policy.lease_seconds)

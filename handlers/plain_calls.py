"""Callbacks that only continue a log: those of many runs are stored by one statement, a transaction of its own.

Such a call changes no run but its lease, so there is nothing to decide in between. The statement takes only sessions
that nobody holds just then: it waits for nobody, deadlocks with nobody, and leaves whatever it did not take, or what
does not fit, to `receive_callback`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from handlers.apply_event import has_effect
from handlers.event_log import EXECUTOR, note_append
from schema.events import EXECUTOR_MAY_NOT_AUTHOR, SourceEvent
from schema.executor_api import CallbackAnswer, CallbackBody
from schema.sql import Conn, fetch_all, jsonb
from schema.wire import Json


@dataclass(frozen=True)
class PlainCall:
    """A call that `is_plain`; its signature was made with the key of this generation."""

    run_id: UUID
    body: CallbackBody
    generation: int


@dataclass(frozen=True)
class _Taken:
    run_id: UUID
    session_id: UUID
    last_seq: int
    stop_requested: bool


def is_plain(body: CallbackBody) -> bool:
    """Whether its events, numbered one after the other, do nothing but stand in the log. No events is a heartbeat."""
    first = body.events[0].n if body.events else 1
    return first is not None and all(_continues(event, n) for n, event in enumerate(body.events, start=first))


def receive_plain_calls(conn: Conn, calls: Sequence[PlainCall], *, lease_seconds: float) -> dict[UUID, CallbackAnswer]:
    """Store the calls, at most one a run, each all or nothing; the answers by run, without those not taken."""
    taken = fetch_all(
        conn,
        "receive_plain_calls",
        _Taken,
        calls=jsonb([_row(n, call) for n, call in enumerate(calls)]),
        events=jsonb([row for n, call in enumerate(calls) for row in _event_rows(n, call)]),
        author=EXECUTOR,
        lease_seconds=lease_seconds,
    )
    counts = {call.run_id: len(call.body.events) for call in calls}
    for each in taken:
        if counts[each.run_id]:
            note_append(each.session_id, each.last_seq)
    return {each.run_id: _answer(each, counts[each.run_id]) for each in taken}


def _continues(event: SourceEvent, n: int) -> bool:
    return event.n == n and not has_effect(event.type) and event.type not in EXECUTOR_MAY_NOT_AUTHOR


def _row(number: int, call: PlainCall) -> Json:
    body = call.body
    return {
        "call": number,
        "run_id": str(call.run_id),
        "epoch": body.epoch,
        "attempt": body.attempt,
        "generation": call.generation,
        "before_n": body.events[0].n - 1 if body.events and body.events[0].n else None,
        "count": len(body.events),
    }


def _event_rows(number: int, call: PlainCall) -> Iterator[Json]:
    for i, event in enumerate(call.body.events, start=1):
        at = event.at.isoformat()
        yield {"call": number, "i": i, "id": str(event.id), "type": event.type, "at": at, "data": event.data}


def _answer(taken: _Taken, count: int) -> CallbackAnswer:
    return CallbackAnswer(accepted=count, duplicates=0, last_seq=taken.last_seq, stop_requested=taken.stop_requested)

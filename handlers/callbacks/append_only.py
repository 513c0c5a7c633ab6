"""Callbacks that only continue a log: those of many runs are stored by one statement, a transaction of its own. One
that is alone has a simpler statement.

Such a call changes nothing but its log's head, so there is nothing to decide in between. The statement takes only
sessions that nobody holds just then: it waits for nobody, deadlocks with nobody, and leaves whatever it did not take,
or what does not fit, to `receive_callback`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from uuid import UUID

from handlers.callbacks.apply_event import has_effect
from handlers.event_log import EXECUTOR, record_append
from schema.events import EXECUTOR_MAY_NOT_AUTHOR, SourceEvent
from schema.executor_api import CallbackAnswer, CallbackBody
from schema.sql import Conn, fetch_all

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class AppendOnlyCall:
    """A call that `is_append_only`; its signature was made with the key of this generation."""

    run_id: UUID
    body: CallbackBody
    generation: int


@dataclass(frozen=True)
class _Taken:
    run_id: UUID
    session_id: UUID
    last_seq: int
    stop_requested: bool


def is_append_only(body: CallbackBody) -> bool:
    """Whether its events, numbered one after the other, do nothing but stand in the log. No events is a heartbeat."""
    first = body.events[0].n if body.events else 1
    return first is not None and all(_continues(event, n) for n, event in enumerate(body.events, start=first))


def receive_append_only_calls(
    conn: Conn, calls: Sequence[AppendOnlyCall], *, lease_seconds: float
) -> dict[UUID, CallbackAnswer]:
    """Store the calls, at most one a run, each all or nothing; the answers by run, without those not taken."""
    alone = len(calls) == 1
    name, given = (
        ("receive_append_only_call", parameters(calls[0])) if alone else ("receive_append_only_calls", _all(calls))
    )
    taken = fetch_all(conn, name, _Taken, **given, author=EXECUTOR, lease_seconds=lease_seconds)
    counts = {call.run_id: len(call.body.events) for call in calls}
    for each in taken:
        if counts[each.run_id]:
            record_append(each.session_id, each.last_seq)
    return {each.run_id: _answer(each, counts[each.run_id]) for each in taken}


def parameters(call: AppendOnlyCall) -> dict[str, object]:
    """The call as its statement takes it: its events as arrays."""
    return {
        "run_id": call.run_id,
        "epoch": call.body.epoch,
        "attempt": call.body.attempt,
        "generation": call.generation,
        "before_n": _before(call.body.events),
        "count": len(call.body.events),
        **_events(call.body.events),
    }


def _all(calls: Sequence[AppendOnlyCall]) -> dict[str, object]:
    counts = [len(call.body.events) for call in calls]
    befores = [_before(call.body.events) for call in calls]
    return {
        "run_ids": _array(str(call.run_id) for call in calls),
        "epochs": _array(str(call.body.epoch) for call in calls),
        "attempts": _array(str(call.body.attempt) for call in calls),
        "generations": _array(str(call.generation) for call in calls),
        "before_ns": _array("NULL" if before is None else str(before) for before in befores),
        "counts": _array(map(str, counts)),
        "events_before": _array(map(str, accumulate(counts[:-1], initial=0))),
        **_events([event for call in calls for event in call.body.events]),
    }


def _events(events: Sequence[SourceEvent]) -> dict[str, str]:
    return {
        "ids": _array(str(event.id) for event in events),
        "types": _array(event.type for event in events),
        "ats": _array(event.at.isoformat() for event in events),
        "datas": _array(_quoted(_json(event.data)) for event in events),
    }


def _continues(event: SourceEvent, n: int) -> bool:
    return event.n == n and not has_effect(event.type) and event.type not in EXECUTOR_MAY_NOT_AUTHOR


def _array(elements: Iterable[str]) -> str:
    """PostgreSQL's literal, which costs a fraction of what psycopg takes for a list. Elements that are no ids, numbers,
    times or types of events are to be `_quoted`."""
    return "{" + ",".join(elements) + "}"


def _quoted(element: str) -> str:
    return '"' + element.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _before(events: Sequence[SourceEvent]) -> int | None:
    """The number before the first; a heartbeat continues wherever the log ends."""
    return events[0].n - 1 if events and events[0].n else None


def _answer(taken: _Taken, count: int) -> CallbackAnswer:
    return CallbackAnswer(accepted=count, duplicates=0, last_seq=taken.last_seq, stop_requested=taken.stop_requested)

"""Store append-only callbacks of many runs with one statement, which is one transaction.

An append-only callback changes only the log's head, so Python decides nothing in between; a lone callback uses a
simpler statement. The statement takes only sessions without a lock: it never waits and never deadlocks.
`receive_callback` handles the calls that it skipped, and calls that do not fit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from uuid import UUID

from handlers.callbacks.apply_event import has_effect
from handlers.callbacks.event_limit import is_beyond_limit
from handlers.event_log import EXECUTOR, record_change
from schema.events import EXECUTOR_MAY_NOT_AUTHOR, SourceEvent
from schema.executor_api import CallbackAnswer, CallbackBody
from schema.sql import Conn, fetch_all

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class AppendOnlyCall:
    """A call that `is_append_only`, signed with the key of this generation."""

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
    """Return whether the events are numbered in sequence, within the limit, and only extend the log. No events is a
    heartbeat."""
    if body.events and is_beyond_limit(body.events[-1]):
        return False
    first = body.events[0].n if body.events else 1
    return first is not None and all(_continues(event, n) for n, event in enumerate(body.events, start=first))


def receive_append_only_calls(
    conn: Conn, calls: Sequence[AppendOnlyCall], *, lease_seconds: float
) -> dict[UUID, CallbackAnswer]:
    """Store the calls, at most one per run, each completely or not at all; return answers by run, skipped calls left
    out."""
    alone = len(calls) == 1
    query, values = (
        ("receive_append_only_call", parameters(calls[0])) if alone else ("receive_append_only_calls", _all(calls))
    )
    taken = fetch_all(conn, query, _Taken, **values, author=EXECUTOR, lease_seconds=lease_seconds)
    counts = {call.run_id: len(call.body.events) for call in calls}
    for head in taken:
        if counts[head.run_id]:
            record_change(head.session_id, head.last_seq)
    return {head.run_id: _answer(head, counts[head.run_id]) for head in taken}


def parameters(call: AppendOnlyCall) -> dict[str, object]:
    """Return the statement's parameters; the call's events are arrays."""
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
    """Return an array literal, which costs a fraction of psycopg's list adaptation. Quote elements (`_quoted`) that are
    not ids, numbers, times or event types."""
    return "{" + ",".join(elements) + "}"


def _quoted(element: str) -> str:
    return '"' + element.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _before(events: Sequence[SourceEvent]) -> int | None:
    """Return the number before the first event; None for a heartbeat, which fits any end of the log."""
    return events[0].n - 1 if events and events[0].n else None


def _answer(taken: _Taken, count: int) -> CallbackAnswer:
    return CallbackAnswer(accepted=count, duplicates=0, last_seq=taken.last_seq, stop_requested=taken.stop_requested)

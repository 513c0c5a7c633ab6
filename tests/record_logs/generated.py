"""Generate logs that no agent writes: events in odd orders, with wrong types, that the fold must read all the same."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, Phase, given, seed, settings

from handlers.sessions.transcript import Event, Transcript
from handlers.sessions.transcript_fold import fold
from schema.wire import Json
from tests.record_logs.folded import stored
from tests.unit.handlers.sessions.generated_logs import logs

TRIED, KEPT = 2000, 24
LONG = ("long " * 3000, "x" * 9000)


def generated_logs() -> list[Json]:
    """Return the longest of many logs, each as its events and the state that they fold to."""
    found: list[list[Event]] = []

    @seed(1)
    @settings(
        max_examples=TRIED,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(log=logs)
    def collect(log: list[Event]) -> None:
        found.append(log)

    collect()
    longest = {_json(log): None for log in sorted(found, key=len)[-4 * KEPT :]}
    return [_folded(text) for text in list(longest)[-KEPT:]]


def _json(log: list[Event]) -> str:
    """Return the log as JSON, with its long texts made short: other logs are cut."""
    events = [
        {"seq": e.seq, "id": f"e{e.seq}", "sessionId": "s", "runId": e.run_id, "author": e.author, "type": e.type}
        | {"at": e.at, "data": e.data}
        for e in log
    ]
    text = json.dumps(events, ensure_ascii=False)
    for long in LONG:
        text = text.replace(long, "short")
    return text


def _folded(text: str) -> Json:
    events = json.loads(text)
    return {"events": events, **stored(fold(Transcript(), [_event(event) for event in events]))}


def _event(event: Json) -> Event:
    return Event(event["seq"], event["type"], event["author"], event["at"], event["runId"], event["data"])

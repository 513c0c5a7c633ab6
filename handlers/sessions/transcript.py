"""Fold a session's log into the items of its transcript. Pure: no database and no clock.

`fold` of a log equals `fold` of a prefix, continued, at any cut. The portal's reducer continues the same items: both
are tested with the logs in portal/tests/logs. A caller that keeps items in a table continues with `needed` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schema.wire import Json

VERSION = 2
"""Of the items' shape. A newer version folds every log again."""


@dataclass
class Transcript:
    """A log folded up to `seq`. `items` by id; `runs` holds what runs that have not ended still need; `queue` lists the
    runs that wait for their turn. `changed` names the items that folding wrote."""

    seq: int = 0
    items: dict[str, Json] = field(default_factory=dict)
    runs: dict[str, Json] = field(default_factory=dict)
    queue: list[str] = field(default_factory=list)
    live_run_id: str | None = None
    changed: set[str] = field(default_factory=set)

    def put(self, item: Json) -> None:
        self.items[item["id"]] = item
        self.changed.add(item["id"])

    def change(self, item: Json, **fields: object) -> None:
        self.put({**item, **fields})

    def state(self) -> Json:
        """Return what continuing needs besides the items."""
        return {"runs": self.runs, "queue": self.queue, "liveRunId": self.live_run_id}


@dataclass(frozen=True)
class Event:
    """An event's envelope as the fold reads it: wrong types in an agent's data read as absent."""

    seq: int
    type: str
    author: str
    at: str
    run_id: str | None
    data: Json

    def text(self, key: str) -> str:
        return self.text_or_none(key) or ""

    def text_or_none(self, key: str) -> str | None:
        value = self.data.get(key)
        return value if isinstance(value, str) else None

    def texts(self, key: str) -> list[str]:
        value = self.data.get(key)
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

    def objects(self, key: str) -> list[Json]:
        value = self.data.get(key)
        return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

    def object_or_none(self, key: str) -> Json | None:
        value = self.data.get(key)
        return value if isinstance(value, dict) else None

    def begin(self, id_: str, kind: str) -> Json:
        """Return the fields that every item begins with."""
        return {
            "id": id_,
            "kind": kind,
            "firstSeq": self.seq,
            "lastSeq": self.seq,
            "runId": self.run_id,
            "at": self.at,
        }


def event_of(envelope: Mapping[str, Any]) -> Event:
    """Read the JSON of an Envelope."""
    return Event(
        seq=envelope["seq"],
        type=envelope["type"],
        author=envelope["author"],
        at=envelope["at"],
        run_id=envelope.get("runId"),
        data=envelope["data"],
    )


def restored(seq: int, state: Json, items: Iterable[Json]) -> Transcript:
    """Return a transcript to continue, from its `state` and the items that the next events need."""
    return Transcript(
        seq=seq,
        items={item["id"]: item for item in items},
        runs=dict(state["runs"]),
        queue=list(state["queue"]),
        live_run_id=state["liveRunId"],
    )


def text_id(role: str, run_id: str | None, message_id: str) -> str:
    return f"{role}:{run_id or ''}:{message_id}"


def tool_id(run_id: str | None, tool_call_id: str) -> str:
    return f"tool:{run_id or ''}:{tool_call_id}"


def prompt_id(run_id: str | None) -> str:
    return f"prompt:{run_id or ''}"


def needed(events: Sequence[Event]) -> set[str]:
    """Return the ids of items that folding the events may read, besides those that are open (`is_open`)."""
    return {id_ for event in events for id_ in _named_by(event)}


def _named_by(event: Event) -> list[str]:
    run_id = event.run_id
    return [
        prompt_id(run_id),
        f"run:{run_id or ''}",
        tool_id(run_id, event.text("toolCallId")),
        f"asked:{event.text('requestId')}",
        *(text_id(role, run_id, event.text("messageId")) for role in {event.text("role"), "assistant", "thought"}),
    ]


def is_open(item: Json) -> bool:
    """Return whether an event that does not name the item may still change it."""
    if item["kind"] in ("answer", "thought"):
        return not item["isDone"]
    return item["kind"] == "tool" and (item["endedAt"] is None or item["waitsSince"] is not None)

"""The tool calls of one turn: what was said of each, and which event its next update becomes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from acp.schema import ContentToolCallContent, FileEditToolCallContent, ToolCallStart, ToolCallUpdate

from executor.agents.content import text_of_block
from executor.agents.text import BoundedText, cut_json, cut_text
from schema.events import ToolCall
from schema.wire import Json

SECONDS_BETWEEN_OUTPUTS = 1.0
"""A running command's growing output is said at most so often, and whole (cut) each time."""


@dataclass
class KnownCall:
    """What an agent has said of one call: `raw_input` and `edits` uncut, `said` as it left."""

    kind: str | None = None
    title: str | None = None
    status: str | None = None
    raw_input: Any = None
    edits: list[Json] = field(default_factory=list)
    locations: list[Json] = field(default_factory=list)
    said: Json = field(default_factory=dict)
    terminal: BoundedText = field(default_factory=BoundedText)
    output_said_at: float = 0.0

    def take(self, update: ToolCallStart | ToolCallUpdate) -> None:
        self.kind = update.kind or self.kind
        self.title = update.title or self.title
        self.status = update.status or self.status
        self.raw_input = update.raw_input or self.raw_input
        self.edits = edits_of(update) or self.edits
        self.locations = locations_of(update) or self.locations
        self.terminal.add(_terminal_text(update))


class ToolCalls:
    """By the agent's id of each call."""

    def __init__(self) -> None:
        self._calls: dict[str, KnownCall] = {}

    def is_new(self, tool_call_id: str) -> bool:
        return tool_call_id not in self._calls

    def known(self, tool_call_id: str) -> KnownCall:
        return self._calls.get(tool_call_id) or KnownCall()

    def take(self, update: ToolCallStart | ToolCallUpdate) -> tuple[str, ToolCall] | None:
        """`tool.call` the first time, then `tool.update` with what changed; None when nothing did."""
        first = self.is_new(update.tool_call_id)
        call = self._calls.setdefault(update.tool_call_id, KnownCall())
        call.take(update)
        said = {**_fields(update), **_output(update, call)}
        changed = {key: value for key, value in said.items() if value is not None and call.said.get(key) != value}
        call.said |= changed
        if not first and not changed:
            return None
        event = ToolCall.model_validate({**changed, "tool_call_id": update.tool_call_id})
        return ("tool.call" if first else "tool.update"), event

    def end_open(self) -> list[ToolCall]:
        """`failed` for each call that has not ended."""
        unfinished = [(id_, one) for id_, one in self._calls.items() if one.status not in ("completed", "failed")]
        for _, call in unfinished:
            call.status = "failed"
        return [ToolCall(tool_call_id=id_, status="failed") for id_, _ in unfinished]


def edits_of(update: ToolCallStart | ToolCallUpdate) -> list[Json]:
    """The diffs of an update, uncut."""
    edits = [one for one in update.content or [] if isinstance(one, FileEditToolCallContent)]
    return [{"path": one.path, "oldText": one.old_text, "newText": one.new_text} for one in edits]


def _fields(update: ToolCallStart | ToolCallUpdate) -> Json:
    return {
        "title": None if update.title is None else cut_text(update.title, 4096),
        "kind": update.kind,
        "status": update.status,
        "input": cut_json(update.raw_input) or None,
        "diffs": cut_edits(edits_of(update)) or None,
        "locations": locations_of(update) or None,
    }


def cut_edits(edits: list[Json]) -> list[Json]:
    """Each text of a diff as long as an output may be."""
    return [{key: cut_text(text) if isinstance(text, str) else text for key, text in one.items()} for one in edits]


def _output(update: ToolCallStart | ToolCallUpdate, call: KnownCall) -> Json:
    """Before a call runs, its content describes it and is no output. A terminal's comes in pieces beside it."""
    if call.status == "pending":
        return {}
    texts = [text_of_block(one.content) for one in update.content or [] if isinstance(one, ContentToolCallContent)]
    text = "\n".join(one for one in texts if one)
    plain = isinstance(update.raw_output, str) or not text
    given = cut_json(update.raw_output if plain else text)
    return {"output": given if given is not None else _terminal_output(call)}


def _terminal_output(call: KnownCall) -> str | None:
    now = time.monotonic()
    due = now - call.output_said_at >= SECONDS_BETWEEN_OUTPUTS or call.status in ("completed", "failed")
    if not due or not call.terminal.size:
        return None
    call.output_said_at = now
    return call.terminal.read()


def _terminal_text(update: ToolCallStart | ToolCallUpdate) -> str:
    """Output of a command that the agent runs in a terminal of its own (`_meta.terminal_output_delta`)."""
    piece = (update.field_meta or {}).get("terminal_output_delta")
    data = piece.get("data") if isinstance(piece, dict) else None
    return data if isinstance(data, str) else ""


def locations_of(update: ToolCallStart | ToolCallUpdate) -> list[Json]:
    return [
        {"path": one.path} if one.line is None else {"path": one.path, "line": one.line}
        for one in update.locations or []
    ]

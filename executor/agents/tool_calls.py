"""Track the tool calls of one turn, and decide which event each update becomes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from acp.schema import ContentToolCallContent, FileEditToolCallContent, ToolCallStart, ToolCallUpdate

from executor.agents.agent_folders import AgentFolders
from executor.agents.content import text_of_block
from executor.agents.text import NOTHING_HIDDEN, BoundedText, HeldText, Redaction, cut_json, cut_text
from schema.events import ToolCall
from schema.wire import Json

MOST_TOOL_CALLS = 10_000
"""Tool calls of one turn. Later ones are not reported, and take no memory."""
SECONDS_BETWEEN_OUTPUTS = 1.0
"""Report a running command's growing output at most this often, each time complete (but cut)."""


@dataclass
class KnownCall:
    """The state of one call: `raw_input` and `edits` uncut, `reported` as reported.

    `whole` is the last output of a call that goes on. What was reported of it may lack its end (HeldText).
    """

    kind: str | None = None
    title: str | None = None
    status: str | None = None
    raw_input: Any = None
    edits: list[Json] = field(default_factory=list)
    locations: list[Json] = field(default_factory=list)
    reported: Json = field(default_factory=dict)
    terminal: BoundedText = field(default_factory=BoundedText)
    held: HeldText = field(default_factory=lambda: HeldText(NOTHING_HIDDEN))
    whole: str | None = None
    output_reported_at: float = 0.0

    def take(self, update: ToolCallStart | ToolCallUpdate) -> None:
        self.kind = update.kind or self.kind
        self.title = update.title or self.title
        self.status = update.status or self.status
        self.raw_input = update.raw_input or self.raw_input
        self.edits = edits_of(update) or self.edits
        self.locations = locations_of(update) or self.locations
        self.terminal.add(self.held.add(_terminal_text(update)))
        if self.has_ended:
            self.terminal.add(self.held.end())

    def last_output(self) -> Any:
        """Return the output when no more comes; None when there was none."""
        self.terminal.add(self.held.end())
        if self.whole is not None:
            return cut_json(self.whole)
        return self.terminal.read() if self.terminal.size else None

    @property
    def has_ended(self) -> bool:
        return self.status in ("completed", "failed")


class ToolCalls:
    """Hold the calls by the agent's id of each."""

    def __init__(self, folders: AgentFolders, redaction: Redaction = NOTHING_HIDDEN) -> None:
        self._folders = folders
        self._redaction = redaction
        self._calls: dict[str, KnownCall] = {}

    def is_new(self, tool_call_id: str) -> bool:
        return tool_call_id not in self._calls

    @property
    def is_full(self) -> bool:
        return len(self._calls) >= MOST_TOOL_CALLS

    @property
    def has_open(self) -> bool:
        return any(not call.has_ended for call in self._calls.values())

    def known(self, tool_call_id: str) -> KnownCall:
        return self._calls.get(tool_call_id) or KnownCall()

    def take(self, update: ToolCallStart | ToolCallUpdate) -> tuple[str, ToolCall] | None:
        """Return `tool.call` for a new call, then `tool.update` with the changed fields; None when nothing changed."""
        first = self.is_new(update.tool_call_id)
        call = self._calls.setdefault(update.tool_call_id, KnownCall(held=HeldText(self._redaction)))
        call.take(update)
        fields = {**_fields(update, self._folders), **_output(update, call, self._redaction)}
        changed = {key: value for key, value in fields.items() if value is not None and call.reported.get(key) != value}
        call.reported |= changed
        if not first and not changed:
            return None
        event = ToolCall.model_validate({**changed, "tool_call_id": update.tool_call_id})
        return ("tool.call" if first else "tool.update"), event

    def end_open(self) -> list[ToolCall]:
        """Return a `failed` update for each call that has not ended, with the output that was not reported yet."""
        return [_failed(id_, call) for id_, call in self._calls.items() if not call.has_ended]


def _failed(tool_call_id: str, call: KnownCall) -> ToolCall:
    call.status = "failed"
    output = call.last_output()
    is_news = output is not None and output != call.reported.get("output")
    return ToolCall(tool_call_id=tool_call_id, status="failed", **({"output": output} if is_news else {}))


def edits_of(update: ToolCallStart | ToolCallUpdate) -> list[Json]:
    """Return the diffs of an update, uncut."""
    edits = [edit for edit in update.content or [] if isinstance(edit, FileEditToolCallContent)]
    return [{"path": edit.path, "oldText": edit.old_text, "newText": edit.new_text} for edit in edits]


def _fields(update: ToolCallStart | ToolCallUpdate, folders: AgentFolders) -> Json:
    return {
        "title": None if update.title is None else cut_text(update.title, 4096),
        "kind": update.kind,
        "status": update.status,
        "input": cut_json(update.raw_input) or None,
        "diffs": folders.placed(cut_edits(edits_of(update))) or None,
        "locations": folders.placed(locations_of(update)) or None,
    }


def cut_edits(edits: list[Json]) -> list[Json]:
    """Cut each text of a diff to the limit of an output."""
    return [{key: cut_text(text) if isinstance(text, str) else text for key, text in edit.items()} for edit in edits]


def _output(update: ToolCallStart | ToolCallUpdate, call: KnownCall, redaction: Redaction) -> Json:
    """Return the call's output. A pending call's content is its description, not output. Terminal output comes
    separately."""
    if call.status == "pending":
        return {}
    blocks = [block for block in update.content or [] if isinstance(block, ContentToolCallContent)]
    text = "\n".join(filter(None, (text_of_block(block.content) for block in blocks)))
    plain = isinstance(update.raw_output, str) or not text
    whole = update.raw_output if plain else text
    if isinstance(whole, str):
        call.whole = redaction.hide(whole)
        if not call.has_ended:
            whole = redaction.settled(whole)
    elif whole is None and call.has_ended:
        whole = call.whole
    output = cut_json(whole)
    return {"output": output if output is not None else _terminal_output(call)}


def _terminal_output(call: KnownCall) -> str | None:
    now = time.monotonic()
    due = now - call.output_reported_at >= SECONDS_BETWEEN_OUTPUTS or call.has_ended
    if not due or not call.terminal.size:
        return None
    call.output_reported_at = now
    return call.terminal.read()


def _terminal_text(update: ToolCallStart | ToolCallUpdate) -> str:
    """Return output of a command in the agent's own terminal (`_meta.terminal_output_delta`)."""
    piece = (update.field_meta or {}).get("terminal_output_delta")
    data = piece.get("data") if isinstance(piece, dict) else None
    return data if isinstance(data, str) else ""


def locations_of(update: ToolCallStart | ToolCallUpdate) -> list[Json]:
    return [
        {"path": location.path} if location.line is None else {"path": location.path, "line": location.line}
        for location in update.locations or []
    ]

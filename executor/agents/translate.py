"""Session updates of an agent -> events of ours. Protocol types end here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from acp.schema import (
    AgentMessageChunk,
    AgentPlanUpdate,
    AgentThoughtChunk,
    ContentToolCallContent,
    FileEditToolCallContent,
    ToolCallStart,
    ToolCallUpdate,
    UsageUpdate,
)

from executor.agents.text import CHUNK_LIMIT, cut_json, cut_text, pieces
from executor.agents.todos import TodoList, todos_of_tool_input
from executor.agents.usage import Meter
from schema.events import MessageDelta, MessageStop, ToolCall
from schema.wire import Json, Wire

Say = Callable[[str, Wire], None]


class Translation:
    """What was said so far in one turn, and how the next update continues it."""

    def __init__(self, say: Say, meter: Meter) -> None:
        self._say = say
        self._meter = meter
        self._todos = TodoList("plan")
        self._message: tuple[str, str, str | None] | None = None
        self._tools: dict[str, Json] = {}

    def take(self, update: object) -> None:
        """One session update, in the order in which it came."""
        match update:
            case AgentMessageChunk():
                self._take_text("assistant", update)
            case AgentThoughtChunk():
                self._take_text("thought", update)
            case ToolCallStart() | ToolCallUpdate():
                self._take_tool(update)
            case AgentPlanUpdate():
                self._say_todos([(one.content, one.status, one.priority) for one in update.entries])
            case UsageUpdate():
                self._take_usage(update)

    def take_earlier_usage(self, update: UsageUpdate) -> None:
        """What earlier turns of the conversation had cost, as said before this one's prompt."""
        if update.cost is not None:
            self._meter.take_cost(update.cost.amount, update.cost.currency)

    def end_message(self, stop_reason: str) -> None:
        """`message.stop` for the message that goes on now, if any."""
        if self._message is not None:
            message_id, _, _ = self._message
            self._message = None
            self._say("message.stop", MessageStop(message_id=message_id, stop_reason=stop_reason))

    def known_tool(self, tool_call_id: str) -> Json:
        """What was said of this tool call: `kind`, `title`, `input`."""
        return self._tools.get(tool_call_id, {})

    def say_usage(self) -> None:
        self._say("usage.update", self._meter.read())

    def _take_text(self, role: Any, chunk: AgentMessageChunk | AgentThoughtChunk) -> None:
        text = cut_text(_block_text(chunk.content), CHUNK_LIMIT)
        if not text:
            return
        if self._message is None or self._message[1:] != (role, chunk.message_id):
            self.end_message("next_message")
            self._message = (str(uuid4()), role, chunk.message_id)
        for piece in pieces(text):
            self._say("message.delta", MessageDelta(message_id=self._message[0], role=role, text=piece))

    def _take_tool(self, update: ToolCallStart | ToolCallUpdate) -> None:
        known = self._tools.get(update.tool_call_id)
        if known is None:
            self.end_message("tool_call")
            known = self._tools[update.tool_call_id] = {}
        said = _tool_call(update)
        first = not known
        changed = {key: value for key, value in said.to_json().items() if known.get(key) != value}
        known |= {"seen": True} | {key: value for key, value in changed.items() if key != "output"}
        if update.raw_input is not None:
            known["input"] = update.raw_input
        if first or changed:
            event = ToolCall.model_validate({**changed, "toolCallId": update.tool_call_id})
            self._say("tool.call" if first else "tool.update", event)
        if (todos := todos_of_tool_input(update.raw_input)) is not None:
            self._say_todos(todos)

    def _say_todos(self, entries: list[tuple[str, Any, str | None]]) -> None:
        if (changed := self._todos.replace(entries)) is not None:
            self._say("todo.update", changed)

    def _take_usage(self, update: UsageUpdate) -> None:
        self._meter.take_context(used=update.used, size=update.size)
        if update.cost is not None:
            self._meter.take_cost(update.cost.amount, update.cost.currency)
        self.say_usage()


def _tool_call(update: ToolCallStart | ToolCallUpdate) -> ToolCall:
    texts = [_block_text(one.content) for one in update.content or [] if isinstance(one, ContentToolCallContent)]
    text = "\n".join(one for one in texts if one)
    return ToolCall(
        tool_call_id=update.tool_call_id,
        title=None if update.title is None else cut_text(update.title, 4096),
        kind=update.kind,
        status=update.status,
        input=cut_json(update.raw_input) or None,
        output=cut_text(text) if text else cut_json(update.raw_output),
        diffs=_diffs(update) or None,
        locations=[_location(one.path, one.line) for one in update.locations or []] or None,
    )


def _diffs(update: ToolCallStart | ToolCallUpdate) -> list[Json]:
    edits = [one for one in update.content or [] if isinstance(one, FileEditToolCallContent)]
    return [
        {
            "path": one.path,
            "oldText": None if one.old_text is None else cut_text(one.old_text),
            "newText": cut_text(one.new_text),
        }
        for one in edits
    ]


def _location(path: str, line: int | None) -> Json:
    return {"path": path} if line is None else {"path": path, "line": line}


def _block_text(block: Any) -> str:
    """The text of a content block; a bracketed word for what is not text."""
    match block.type:
        case "text":
            return str(block.text)
        case "resource_link":
            return f"[{block.name}]({block.uri})"
        case "resource":
            return str(getattr(block.resource, "text", None) or f"[resource {block.resource.uri}]")
        case kind:
            return f"[{kind}: {block.mime_type}]"

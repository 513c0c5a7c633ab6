"""Session updates of an agent -> events of ours. Protocol types end here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from acp.schema import (
    AgentMessageChunk,
    AgentPlanUpdate,
    AgentThoughtChunk,
    ToolCallStart,
    ToolCallUpdate,
    UsageUpdate,
)

from executor.agents.content import text_of_block
from executor.agents.text import CHUNK_LIMIT, cut_text, pieces
from executor.agents.todos import TodoList, todos_of_tool_input
from executor.agents.tool_calls import KnownCall, ToolCalls
from executor.agents.usage import Meter
from schema.events import MessageDelta, MessageStop, Usage
from schema.wire import Wire

Say = Callable[[str, Wire], None]


class Translation:
    """What was said so far in one turn, and how the next update continues it."""

    def __init__(self, say: Say, meter: Meter, todos: TodoList) -> None:
        self._say = say
        self._meter = meter
        self._todos = todos
        self._message: tuple[str, str, str | None] | None = None
        self._tools = ToolCalls()
        self._usage: Usage | None = None

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

    def say_as_user(self, text: str) -> None:
        """What the agent is told on its user's behalf, so that the log has it word for word."""
        message_id = str(uuid4())
        self._say("message.delta", MessageDelta(message_id=message_id, role="user", text=text))
        self._say("message.stop", MessageStop(message_id=message_id, stop_reason="sent"))

    def known_call(self, tool_call_id: str) -> KnownCall:
        """What was said of this tool call; nothing, when it is new."""
        return self._tools.known(tool_call_id)

    def say_usage(self) -> None:
        """`usage.update`, when something is known that was not said."""
        usage = self._meter.read()
        if usage not in (self._usage, Usage()):
            self._usage = usage
            self._say("usage.update", usage)

    def end_calls(self) -> None:
        """Tool calls that never ended have ended with their turn."""
        for event in self._tools.end_open():
            self._say("tool.update", event)

    def _take_text(self, role: Any, chunk: AgentMessageChunk | AgentThoughtChunk) -> None:
        text = cut_text(text_of_block(chunk.content), CHUNK_LIMIT)
        if not text:
            return
        if self._message is None or self._message[1:] != (role, chunk.message_id):
            self.end_message("next_message")
            self._message = (str(uuid4()), role, chunk.message_id)
        for piece in pieces(text):
            self._say("message.delta", MessageDelta(message_id=self._message[0], role=role, text=piece))

    def _take_tool(self, update: ToolCallStart | ToolCallUpdate) -> None:
        if self._tools.is_new(update.tool_call_id):
            self.end_message("tool_call")
        if (event := self._tools.take(update)) is not None:
            self._say(*event)
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

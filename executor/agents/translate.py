"""Translate an agent's session updates into Runyard's events. Protocol types end here."""

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

from executor.agents.agent_folders import AgentFolders
from executor.agents.content import text_of_block
from executor.agents.text import CHUNK_LIMIT, cut_text, split_text
from executor.agents.todos import TodoList, todos_of_tool_input
from executor.agents.tool_calls import KnownCall, ToolCalls
from executor.agents.usage import UsageMeter
from schema.events import MessageDelta, MessageStop, Usage
from schema.wire import Wire

Say = Callable[[str, Wire], None]


class Translation:
    """Hold the state of one turn's messages, and translate each update that continues them."""

    def __init__(self, say: Say, meter: UsageMeter, todos: TodoList, folders: AgentFolders) -> None:
        self._say = say
        self._meter = meter
        self._todos = todos
        self._message: tuple[str, str, str | None] | None = None
        self._tools = ToolCalls(folders)
        self._usage: Usage | None = None

    def take(self, update: object) -> None:
        """Translate one session update. Call it in the order of arrival."""
        match update:
            case AgentMessageChunk():
                self._take_text("assistant", update)
            case AgentThoughtChunk():
                self._take_text("thought", update)
            case ToolCallStart() | ToolCallUpdate():
                self._take_tool(update)
            case AgentPlanUpdate():
                self._say_todos([(entry.content, entry.status, entry.priority) for entry in update.entries])
            case UsageUpdate():
                self._take_usage(update)

    def take_earlier_usage(self, update: UsageUpdate) -> None:
        """Record the cost of the conversation's earlier turns, reported before this turn's prompt."""
        if update.cost is not None:
            self._meter.take_cost(update.cost.amount, update.cost.currency)

    def end_message(self, stop_reason: str) -> None:
        """Report `message.stop` for the current message, if any."""
        if self._message is not None:
            message_id, _, _ = self._message
            self._message = None
            self._say("message.stop", MessageStop(message_id=message_id, stop_reason=stop_reason))

    def say_as_user(self, text: str) -> None:
        """Record a message that Runyard sends to the agent on the user's behalf, word for word."""
        message_id = str(uuid4())
        self._say("message.delta", MessageDelta(message_id=message_id, role="user", text=text))
        self._say("message.stop", MessageStop(message_id=message_id, stop_reason="sent"))

    def known_call(self, tool_call_id: str) -> KnownCall:
        """Return what is known of this tool call; an empty record for a new one."""
        return self._tools.known(tool_call_id)

    def say_usage(self) -> None:
        """Report `usage.update` when the usage has changed."""
        usage = self._meter.read()
        if usage not in (self._usage, Usage()):
            self._usage = usage
            self._say("usage.update", usage)

    def end_calls(self) -> None:
        """Report unfinished tool calls as failed at the end of the turn."""
        for event in self._tools.end_open():
            self._say("tool.update", event)

    def _take_text(self, role: Any, chunk: AgentMessageChunk | AgentThoughtChunk) -> None:
        text = cut_text(text_of_block(chunk.content), CHUNK_LIMIT)
        if not text:
            return
        if self._message is None or self._message[1:] != (role, chunk.message_id):
            self.end_message("next_message")
            self._message = (str(uuid4()), role, chunk.message_id)
        for piece in split_text(text):
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

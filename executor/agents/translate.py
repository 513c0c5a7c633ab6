"""Translate an agent's session updates into Runyard's events. Protocol types end here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import copy
from typing import Any, Literal
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
from executor.agents.provider import Dialect
from executor.agents.text import CHUNK_LIMIT, NOTHING_HIDDEN, BoundedText, HeldText, Redaction, cut_text, split_text
from executor.agents.todos import TodoList, todos_of_tool_input
from executor.agents.tool_calls import MOST_TOOL_CALLS, KnownCall, ToolCalls
from executor.agents.usage import UsageMeter
from schema.events import MessageDelta, MessageStop, RunWarning, Usage
from schema.wire import Wire

Say = Callable[[str, Wire], None]
Speaker = Literal["assistant", "thought", "user"]
LAST_WORDS = 1000
"""Characters kept of the agent's last message, for the reason of a failed turn."""
MOST_GIVEN_UP = 10
"""Messages in a row that the model may break off before the turn fails, for an agent that retries for ever."""


class Translation:
    """Hold the state of one turn's messages, and translate each update that continues them."""

    def __init__(
        self,
        say: Say,
        meter: UsageMeter,
        todos: TodoList,
        folders: AgentFolders,
        dialect: Dialect = "acp",
        redaction: Redaction = NOTHING_HIDDEN,
    ) -> None:
        self._say = say
        self._restarts_are_retries = dialect in ("claude-code", "opencode")
        self._retries_for_ever = dialect == "opencode"
        self._meter = meter
        self._todos = todos
        self._message: tuple[str, Speaker, str | None] | None = None
        self._held = HeldText(redaction)
        self._tools = ToolCalls(folders, redaction)
        self._leaves_calls_out = False
        self._usage: Usage | None = None
        self._words = BoundedText(LAST_WORDS)
        self._given_up = 0
        self.heard: Callable[[], None] = lambda: None
        """Called at each word of the agent: a message, a thought, a tool call or a plan."""
        self.has_content = False
        """The agent has said a text or begun a tool call."""
        self.asks_endlessly = asyncio.Event()
        """Set when the model broke off MOST_GIVEN_UP messages in a row."""

    @property
    def has_open_calls(self) -> bool:
        """Tell whether a tool call has begun and not ended."""
        return self._tools.has_open

    @property
    def last_words(self) -> str:
        """Return the text of the agent's last message, cut, with the end that is not shown yet."""
        words = copy(self._words)
        words.add(self._held.peek())
        return words.read().strip()

    def take(self, update: object) -> None:
        """Translate one session update. Call it in the order of arrival."""
        if isinstance(update, AgentMessageChunk | AgentThoughtChunk | ToolCallStart | ToolCallUpdate | AgentPlanUpdate):
            self.heard()
        match update:
            case AgentMessageChunk():
                self._take_text("assistant", update)
            case AgentThoughtChunk():
                self._take_text("thought", update)
            case ToolCallStart() | ToolCallUpdate():
                self._take_tool(update)
            case AgentPlanUpdate():
                self.end_message("next_message")
                self._given_up = 0
                self._say_todos([(entry.content, entry.status, entry.priority) for entry in update.entries])
            case UsageUpdate():
                self._take_usage(update)

    def take_late(self, update: object) -> None:
        """Translate text that comes after the turn's end. Anything else that late is dropped."""
        if isinstance(update, AgentMessageChunk | AgentThoughtChunk):
            self.take(update)

    def say_late_with(self, say: Say) -> None:
        """Report what follows by `say`: the turn is over."""
        self._say = say

    def take_earlier_usage(self, update: UsageUpdate) -> None:
        """Record the cost of the conversation's earlier turns, reported before this turn's prompt."""
        if update.cost is not None:
            self._meter.take_cost(update.cost.amount, update.cost.currency)

    def end_message(self, stop_reason: str) -> None:
        """Report `message.stop` for the current message, if any."""
        if self._message is not None:
            message_id, _, _ = self._message
            self._say_text(self._held.end())
            self._message = None
            self._say("message.stop", MessageStop(message_id=message_id, stop_reason=stop_reason))

    def show_held(self) -> None:
        """Report the held end of the current message: a person reads it while the agent waits."""
        if self._message is not None:
            self._say_text(self._held.end())

    def give_up_message(self) -> None:
        """End a message that its model broke off: the agent asks the model again."""
        if self._message is not None and self._message[1] != "user":
            self.end_message("given_up")
            self._given_up += 1
            if self._retries_for_ever and self._given_up >= MOST_GIVEN_UP:
                self.asks_endlessly.set()

    def say_notice(self, words: str) -> None:
        """Report what the agent tells the person beside its answer."""
        self.say_warning("agent_notice", words)

    def say_warning(self, code: str, message: str) -> None:
        """Report a warning of the run."""
        self._say("run.warning", RunWarning(code=code, message=message))

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

    def _take_text(self, role: Speaker, chunk: AgentMessageChunk | AgentThoughtChunk) -> None:
        text = cut_text(text_of_block(chunk.content), CHUNK_LIMIT)
        if not text:
            return
        if self._message is None or self._message[1:] != (role, chunk.message_id):
            if self._is_begun_anew(role, chunk.message_id):
                self.give_up_message()
            self.end_message("next_message")
            self._message = (str(uuid4()), role, chunk.message_id)
            self._words = BoundedText(LAST_WORDS)
        self.has_content = True
        self._say_text(self._held.add(text))

    def _say_text(self, text: str) -> None:
        """Report text of the current message."""
        assert self._message is not None
        message_id, role, _ = self._message
        self._words.add(text)
        for piece in split_text(text):
            self._say("message.delta", MessageDelta(message_id=message_id, role=role, text=piece))

    def _is_begun_anew(self, role: str, message_id: str | None) -> bool:
        """Tell whether a new message replaces the half one before it, as agents do that ask their model again.

        A model's answer is one message, and another answer follows only after a tool call, or a plan: agents show the
        calls of their todo tools as plans.
        """
        if not self._restarts_are_retries or self._message is None or message_id is None:
            return False
        return self._message[1] == role == "assistant" and self._message[2] is not None

    def _take_tool(self, update: ToolCallStart | ToolCallUpdate) -> None:
        if self._tools.is_new(update.tool_call_id):
            self.end_message("tool_call")
            self.has_content = True
            self._given_up = 0
        if self._tools.is_full and self._tools.is_new(update.tool_call_id):
            self._warn_of_left_out_calls()
        elif (event := self._tools.take(update)) is not None:
            self._say(*event)
        if (todos := todos_of_tool_input(update.raw_input)) is not None:
            self._say_todos(todos)

    def _warn_of_left_out_calls(self) -> None:
        """Warn once that the turn's tool calls are not reported any more."""
        if not self._leaves_calls_out:
            self._leaves_calls_out = True
            message = f"A turn reports at most {MOST_TOOL_CALLS:,} tool calls. The agent's later ones are left out."
            self.say_warning("tool_calls_left_out", message)

    def _say_todos(self, entries: list[tuple[str, Any, str | None]]) -> None:
        if (changed := self._todos.replace(entries)) is not None:
            self._say("todo.update", changed)

    def _take_usage(self, update: UsageUpdate) -> None:
        self._meter.take_context(used=update.used, size=update.size)
        if update.cost is not None:
            self._meter.take_cost(update.cost.amount, update.cost.currency)
        self.say_usage()

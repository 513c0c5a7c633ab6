"""Perform the single steps of the demo agent's turn."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from acp.interfaces import Client
from acp.schema import (
    AgentMessageChunk,
    AgentPlanUpdate,
    AgentThoughtChunk,
    AllowedOutcome,
    ContentToolCallContent,
    FileEditToolCallContent,
    PermissionOption,
    PlanEntry,
    TextContentBlock,
    ToolCallLocation,
    ToolCallProgress,
    ToolCallStart,
    ToolCallUpdate,
    Usage,
    UsageUpdate,
)

from executor.agents.demo.conversation import Conversation, save_asking

WORD_SECONDS = 0.012
CONTEXT_SIZE = 100_000
T = TypeVar("T")
PLAN = ("Look at the workspace", "Write down what is there", "Tell what was done")


class Cancelled(Exception):
    """The client cancelled the turn."""


class PromptRefused(Exception):
    """The prompt asked the agent to refuse it."""


class Work:
    """Perform the steps of one turn and report each to the client."""

    def __init__(self, conversation: Conversation, client: Client) -> None:
        self.conversation = conversation
        self.client = client
        self.ahead = ""
        """The rest of the prompt, from the current command on."""
        self._calls = 0

    async def say_usage(self, prompt: str) -> Usage:
        """Report the usage: a word counts as a token. There is no cost, because nothing was bought."""
        words_in = sum(len(text.split()) for text in [*self.conversation.prompts, prompt])
        words_out = self.conversation.words_out
        used = words_in + words_out
        update = UsageUpdate(session_update="usage_update", used=used, size=CONTEXT_SIZE)
        await self.client.session_update(self.conversation.id, update)
        return Usage(input_tokens=words_in, output_tokens=words_out, total_tokens=used)

    async def greet(self) -> None:
        remembered = ""
        if self.conversation.prompts:
            last = self.conversation.prompts[-1][:200]
            remembered = f" I remember {len(self.conversation.prompts)} earlier prompts, the last was: {last}"
        await self.say(f"Hello! I am the demo agent, I need no model.{remembered}")

    async def say(self, text: str) -> None:
        for word in _words(text):
            await self.pause(WORD_SECONDS)
            block = TextContentBlock(type="text", text=word)
            await self.send(AgentMessageChunk(session_update="agent_message_chunk", content=block))
            self.conversation.words_out += 1

    async def think(self, text: str) -> None:
        for word in _words(text):
            await self.pause(WORD_SECONDS)
            block = TextContentBlock(type="text", text=word)
            await self.send(AgentThoughtChunk(session_update="agent_thought_chunk", content=block))
            self.conversation.words_out += 1

    async def plan(self, done: int) -> None:
        entries = [
            PlanEntry(content=content, priority="medium", status=_status_at(step, done))
            for step, content in enumerate(PLAN)
        ]
        await self.send(AgentPlanUpdate(session_update="plan", entries=entries))

    async def look_around(self) -> list[str]:
        call = await self.begin_tool("List the workspace", "search", {"path": str(self.conversation.cwd)})
        names = sorted(
            str(path.relative_to(self.conversation.cwd))
            for path in self.conversation.cwd.rglob("*")
            if path.is_file() and ".git" not in path.parts
        )[:50]
        await self.end_tool(call, output="\n".join(names))
        return names

    async def write(self, name: str, text: str) -> bool:
        """Write a file and return whether it was written. In mode `ask` a person decides."""
        path = (self.conversation.cwd / name).resolve()
        if not path.is_relative_to(self.conversation.cwd.resolve()):
            await self.say(f"{name} lies outside of my folder, so I do not write it.")
            return False
        old = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
        call = await self.begin_tool(f"Write {name}", "edit", {"path": str(path), "content": text})
        if not await self.may(call, f"Write {name}", "edit", {"path": str(path), "content": text}):
            await self.end_tool(call, output="The person said no.", status="failed")
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        edit = FileEditToolCallContent(type="diff", path=str(path), old_text=old, new_text=text)
        await self.send(
            ToolCallProgress(
                session_update="tool_call_update",
                tool_call_id=call,
                status="completed",
                content=[edit],
                locations=[ToolCallLocation(path=str(path))],
            )
        )
        return True

    async def may(self, call: str, title: str, kind: Any, raw_input: dict[str, Any]) -> bool:
        if self.conversation.mode == "auto" or self.conversation.always:
            return True
        with self.asking():
            asked = self.client.request_permission(
                self.conversation.id,
                ToolCallUpdate(tool_call_id=call, title=title, kind=kind, raw_input=raw_input),
                [
                    PermissionOption(option_id="allow", name="Yes", kind="allow_once"),
                    PermissionOption(option_id="always", name="Yes, always in this session", kind="allow_always"),
                    PermissionOption(option_id="decline", name="No", kind="reject_once"),
                ],
            )
            answer = await self.unless_cancelled(asked)
        if answer is None or not isinstance(answer.outcome, AllowedOutcome):
            raise Cancelled
        self.conversation.always = answer.outcome.option_id == "always"
        return answer.outcome.option_id in ("allow", "always")

    async def unless_cancelled(self, asked: Coroutine[Any, Any, T]) -> T | None:
        """Return the client's answer, or None when the client cancelled the turn instead of answering."""
        answer = asyncio.ensure_future(asked)
        cancelled = asyncio.ensure_future(self.conversation.cancelled.wait())
        try:
            await asyncio.wait({answer, cancelled}, return_when=asyncio.FIRST_COMPLETED)
            return None if self.conversation.cancelled.is_set() else answer.result()
        finally:
            answer.cancel()
            cancelled.cancel()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask inside the block. An agent that ends meanwhile asks the same again later."""
        self.conversation.asking = self.ahead
        save_asking(self.conversation)
        yield
        self.conversation.asking = None
        save_asking(self.conversation)

    async def begin_tool(self, title: str, kind: Any, raw_input: dict[str, Any]) -> str:
        self._calls += 1
        call = f"call-{uuid.uuid4().hex[:8]}-{self._calls}"
        await self.send(
            ToolCallStart(
                session_update="tool_call",
                tool_call_id=call,
                title=title,
                kind=kind,
                status="in_progress",
                raw_input=raw_input,
            )
        )
        return call

    async def end_tool(self, call: str, *, output: str, status: Any = "completed") -> None:
        content = ContentToolCallContent(type="content", content=TextContentBlock(type="text", text=output))
        await self.send(
            ToolCallProgress(session_update="tool_call_update", tool_call_id=call, status=status, content=[content])
        )

    async def send(self, update: Any) -> None:
        if self.conversation.cancelled.is_set():
            raise Cancelled
        await self.client.session_update(self.conversation.id, update)

    async def pause(self, seconds: float) -> None:
        """Pause. A cancel ends the pause with Cancelled."""
        try:
            await asyncio.wait_for(self.conversation.cancelled.wait(), seconds)
        except TimeoutError:
            return
        raise Cancelled


def _words(text: str) -> list[str]:
    return [f"{word} " for word in text.split()]


def _status_at(step: int, done: int) -> Any:
    return "completed" if step < done else "in_progress" if step == done else "pending"

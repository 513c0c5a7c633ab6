"""An executor whose agent does what the prompt says: a JSON list of steps. Run as a program, it is a real service.

Steps: ["say", type, data], ["deltas", messageId, [text, ...]], ["ask", requestId, toolCall],
["ask_at_once", count, input], ["wait", file], ["spawn"], ["ignore_stop"], ["raise", message], ["until_stopped"],
["text", file], ["say_late", type, data].
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any
from uuid import UUID, uuid4

from executor.agents.turn import Listener, Stop, Turn
from executor.process.account import SESSION_MARKER
from executor.process.settings import ExecutorSettings, read_settings
from executor.serve import serve
from schema.events import HumanRequested, MessageDelta, Reason, RunFinished, RunStarted
from schema.executor_api import ProviderDeclared
from schema.logs import configure_logs
from schema.prctl import become_subreaper
from schema.wire import Wire

LOOK_SECONDS = 0.01


class Said(Wire):
    """Any data."""

    value: Any = None


class Agent:
    """One turn of it."""

    def __init__(self, turn: Turn, listener: Listener, stop: Stop) -> None:
        self._turn = turn
        self._listener = listener
        self._stop = stop
        self._ignores_stop = False

    async def take_turn(self) -> RunFinished:
        await self._listener.begin(RunStarted(provider=self._turn.run.provider))
        for step, *arguments in json.loads(self._turn.run.prompt):
            acting = asyncio.ensure_future(getattr(self, step)(*arguments))
            stopping = asyncio.ensure_future(self._stop.wanted.wait())
            try:
                await asyncio.wait({acting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if self._stop.wanted.is_set() and not self._ignores_stop:
                    return RunFinished(status="cancelled", reason=Reason(code="stopped", message="Stopped."))
                await acting
            finally:
                stopping.cancel()
                acting.cancel()
        return RunFinished(status="succeeded", stop_reason="end_turn")

    async def say(self, type_: str, data: object) -> None:
        self._listener.say(type_, Said(value=data))

    async def say_late(self, type_: str, data: object) -> None:
        self._listener.say_late(type_, Said(value=data))

    async def deltas(self, message_id: str, texts: list[str]) -> None:
        for text in texts:
            self._listener.say("message.delta", MessageDelta(message_id=message_id, role="assistant", text=text))

    async def ask(self, request_id: str, tool_call: dict[str, Any] | None = None) -> None:
        request = HumanRequested(
            request_id=UUID(request_id), kind="permission", title="May I?", fingerprint="f", tool_call=tool_call
        )
        answer = await self._listener.ask(request)
        self._listener.say("test.answered", Said(value=answer and answer.decision))

    async def ask_at_once(self, count: int, text: str) -> None:
        """Ask so many requests. Say how many were left out, and what the agent heard of those."""
        asking = [asyncio.ensure_future(self.ask(str(uuid4()), {"input": text})) for _ in range(count)]
        try:
            left_out, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_EXCEPTION)
            heard = sorted({str(each.exception()) for each in left_out})
            self._listener.say("test.left_out", Said(value=[len(left_out), heard]))
            await asyncio.wait(asking)
        finally:
            for each in asking:
                each.cancel()

    async def wait(self, name: str) -> None:
        while not (self._turn.workspace / name).exists():  # noqa: ASYNC110 - nothing tells of a new file
            await asyncio.sleep(LOOK_SECONDS)

    async def spawn(self) -> None:
        """A process that nobody ends, in a session of its own."""
        environment = {**os.environ, SESSION_MARKER: str(self._turn.run.session_id)}
        process = await asyncio.create_subprocess_exec(
            "sleep", "600", env=environment, start_new_session=True, stdin=asyncio.subprocess.DEVNULL
        )
        (self._turn.workspace / "pid").write_text(str(process.pid))
        self._listener.say("test.spawned", Said(value=process.pid))

    async def ignore_stop(self) -> None:
        self._ignores_stop = True

    async def until_stopped(self) -> None:
        await asyncio.Event().wait()

    async def fail(self, message: str) -> None:
        raise RuntimeError(message)


async def take_turn(turn: Turn, listener: Listener, stop: Stop) -> RunFinished:
    return await Agent(turn, listener, stop).take_turn()


def declare() -> list[ProviderDeclared]:
    return [ProviderDeclared(name="scripted", title="Scripted", ready=True)]


if __name__ == "__main__":
    configure_logs("executor", level="DEBUG")
    asyncio.run(
        serve(read_settings(ExecutorSettings), take_turn=take_turn, declare_providers=declare, prepare=become_subreaper)
    )

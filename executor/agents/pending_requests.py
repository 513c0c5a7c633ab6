"""Open questions to people: what pauses the turn's clock, and what ends when the turn is closing."""

from __future__ import annotations

import asyncio
import time

from acp import RequestError

from executor.agents.jsonl_transport import after_send
from executor.agents.turn import Listener
from schema.errors import Invalid
from schema.events import HumanApplied, HumanRequested
from schema.executor_api import Answer


class Asks:
    """The requests of one turn. `closing` set: every open one is given up, every later one is not even asked.
    `cancelled` is set when a person's answer was to cancel, and the agent has been told."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._open = 0
        self._none_open = asyncio.Event()
        self._none_open.set()
        self.closing = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def ask(self, request: HumanRequested) -> Answer | None:
        """The answer; None when the turn is closing. Raises RequestError for what nobody can be asked."""
        if self.closing.is_set():
            return None
        self._open += 1
        self._none_open.clear()
        asked = asyncio.ensure_future(self._listener.ask(request))
        closing = asyncio.ensure_future(self.closing.wait())
        try:
            await asyncio.wait({asked, closing}, return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else None
        except Invalid as error:
            raise RequestError.invalid_params({"details": error.detail}) from None
        finally:
            asked.cancel()
            closing.cancel()
            self._open -= 1
            if not self._open:
                self._none_open.set()

    def say_applied(self, answer: Answer, told: str, *, cancels: bool) -> None:
        """Once the agent's pipe has taken the answer that is being returned now, say so; `void` if it could not."""

        def say(*, sent: bool) -> None:
            outcome, words = ("applied", told) if sent else ("void", "The agent had ended before it could be told.")
            applied = {"request_id": answer.request_id, "outcome": outcome, "told": words}
            self._listener.say("human_loop.applied", HumanApplied.model_validate(applied))
            if cancels:
                self.cancelled.set()

        after_send.set(say)

    async def run_out(self, seconds: float) -> None:
        """Returns when `seconds` have passed during which nothing was open."""
        while seconds > 0:
            await self._none_open.wait()
            begun = time.monotonic()
            await asyncio.sleep(min(seconds, 0.25))
            if self._none_open.is_set():
                seconds -= time.monotonic() - begun

"""Track a turn's open human requests: they pause its clock, and closing the turn gives them up."""

from __future__ import annotations

import asyncio
import time

from acp import RequestError

from executor.agents.jsonl_transport import after_send
from executor.agents.turn import Listener
from schema.errors import Invalid
from schema.events import HumanApplied, HumanRequested
from schema.executor_api import Answer


class PendingRequests:
    """Hold the requests of one turn.

    `closing` set: every open request is given up, and later ones are not asked. `cancelled` is set when a person's
    answer cancelled the turn and the agent has received it.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._open = 0
        self._none_open = asyncio.Event()
        self._none_open.set()
        self.closing = asyncio.Event()
        self.cancelled = asyncio.Event()

    @property
    def has_open(self) -> bool:
        """Tell whether a person is being asked."""
        return self._open > 0

    async def ask(self, request: HumanRequested) -> Answer | None:
        """Ask and return the answer, or None when the turn is closing. Raises RequestError for a request that cannot be
        asked."""
        if self.closing.is_set():
            return None
        self._open += 1
        self._none_open.clear()
        asking = asyncio.ensure_future(self._listener.ask(request))
        closing = asyncio.ensure_future(self.closing.wait())
        try:
            await asyncio.wait({asking, closing}, return_when=asyncio.FIRST_COMPLETED)
            return asking.result() if asking.done() else None
        except Invalid as error:
            raise RequestError.invalid_params({"details": error.detail}) from None
        finally:
            asking.cancel()
            closing.cancel()
            self._open -= 1
            if not self._open:
                self._none_open.set()

    def say_applied(self, answer: Answer, detail: str, *, cancels: bool) -> None:
        """Report the answer as applied once the agent's pipe has taken it, or as `void` when it could not."""

        def say(*, sent: bool) -> None:
            outcome, words = ("applied", detail) if sent else ("void", "The agent ended before it received the answer.")
            applied = {"request_id": answer.request_id, "outcome": outcome, "told": words}
            self._listener.say("human_loop.applied", HumanApplied.model_validate(applied))
            if cancels:
                self.cancelled.set()

        after_send.set(say)

    async def run_out(self, seconds: float) -> None:
        """Return after `seconds` during which no request was open."""
        while seconds > 0:
            await self._none_open.wait()
            begun = time.monotonic()
            await asyncio.sleep(min(seconds, 0.25))
            if self._none_open.is_set():
                seconds -= time.monotonic() - begun

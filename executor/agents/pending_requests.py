"""Track a turn's open human requests: they pause its clock, and closing the turn gives them up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from functools import partial

from acp import RequestError

from executor.agents.jsonl_transport import after_send
from executor.agents.turn import Listener
from schema.errors import Invalid
from schema.events import HumanApplied, HumanRequested
from schema.executor_api import Answer

HOLD_SECONDS = 2.0
"""An agent whose turn was cancelled has this long to end it before it hears that its open requests are cancelled."""


class PendingRequests:
    """Hold the requests of one turn.

    `closing` set: every open request is given up, and later ones are not asked. `cancelled` is set when a person's
    answer cancelled the turn and the agent was told.
    """

    def __init__(self, listener: Listener, *, grace_seconds: float) -> None:
        self._listener = listener
        self._hold_seconds = min(HOLD_SECONDS, grace_seconds / 2)
        self._prompt_over = asyncio.Event()
        self._prompt_over.set()
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

    @contextlib.contextmanager
    def during_prompt(self) -> Iterator[None]:
        """Let the agent work on a prompt inside the block. At its end the answers that are held back are let go."""
        self._prompt_over.clear()
        try:
            yield
        finally:
            self._prompt_over.set()

    async def hold_back(self) -> None:
        """Wait until the agent has ended its cancelled turn, for a bounded time: some agents wait for the answer.

        An agent may read the answer to a request before it acts on the cancel that was sent earlier. It then goes on
        and asks its model once more (Claude Code).
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._prompt_over.wait(), self._hold_seconds)

    def say_applied(self, answer: Answer, detail: str) -> None:
        """Report the answer as applied once the agent's pipe has taken it, or as `void` when it could not."""
        after_send.set(partial(self._say, answer, detail))

    def say_cancelled(self, answer: Answer, *, sent: bool) -> None:
        """Report an answer that cancels the turn: it is applied when the agent's pipe has taken the cancel."""
        self._say(answer, "cancelled", sent=sent)
        self.cancelled.set()

    def _say(self, answer: Answer, detail: str, *, sent: bool) -> None:
        outcome, words = ("applied", detail) if sent else ("void", "The agent ended before it received the answer.")
        applied = {"request_id": answer.request_id, "outcome": outcome, "told": words}
        self._listener.say("human_loop.applied", HumanApplied.model_validate(applied))

    async def run_out(self, seconds: float) -> None:
        """Return after `seconds` during which no request was open."""
        while seconds > 0:
            await self._none_open.wait()
            begun = time.monotonic()
            await asyncio.sleep(min(seconds, 0.25))
            if self._none_open.is_set():
                seconds -= time.monotonic() - begun

"""Measure how long an agent says nothing although it owes a word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LOOK_SECONDS = 0.25


class Silence:
    """Count the seconds since the agent's last word.

    It counts from `begun`. While `is_excused` (a tool call runs, or a person is asked) the silence does not count and
    starts anew afterwards.
    """

    def __init__(self, begun: asyncio.Event, is_excused: Callable[[], bool]) -> None:
        self._begun = begun
        self._is_excused = is_excused
        self.since = time.monotonic()
        """When the agent said its last word, by the monotonic clock."""

    def hear(self) -> None:
        """Record that the agent said something."""
        self.since = time.monotonic()

    async def reaches(self, seconds: float) -> None:
        """Return after `seconds` of silence; never for 0."""
        if not seconds:
            await asyncio.Event().wait()
        await self._begun.wait()
        self.hear()
        while (missing := self._missing(seconds)) > 0:  # noqa: ASYNC110 -- a clock has no event
            await asyncio.sleep(min(missing, LOOK_SECONDS))

    def _missing(self, seconds: float) -> float:
        if self._is_excused():
            self.hear()
        return self.since + seconds - time.monotonic()

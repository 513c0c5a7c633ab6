"""Carry events from an agent to the spool: never block the agent, keep the order, join deltas within a time window."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from uuid import UUID

import structlog

from executor.runs.coalescing import WINDOW_BYTES, WINDOW_SECONDS, Draft, coalesce
from executor.runs.spool import Spool, SpoolThread

_log = structlog.stdlib.get_logger(__name__)


class Outbox:
    """Queue the events of one attempt. `write` runs until `close`, and raises sqlite3.Error on a broken disk."""

    def __init__(self, run_id: UUID, *, spool: SpoolThread, spooled: Callable[[], None]) -> None:
        self._run_id = run_id
        self._spool = spool
        self._spooled = spooled
        self._waiting: list[Draft] = []
        self._text_bytes = 0
        self._numbers: dict[UUID, asyncio.Future[int]] = {}
        self._closed = False
        self._filled = asyncio.Event()
        self._urgent = asyncio.Event()
        self._written_at = 0.0

    def put(self, draft: Draft) -> None:
        """Queue an event. An event after the run's last one is logged and dropped."""
        if self._closed:
            _log.warning("event.after_end", type=draft.type)
            return
        self._waiting.append(draft)
        self._filled.set()
        size = draft.text_bytes
        self._text_bytes += size or 0
        if size is None or self._text_bytes >= WINDOW_BYTES:
            self._urgent.set()

    async def put_durably(self, draft: Draft) -> int:
        """Queue an event, wait until it is in the spool, and return its number."""
        number: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._numbers[draft.id] = number
        self.put(draft)
        return await number

    def close(self) -> None:
        """Accept no more events."""
        self._closed = True
        self._filled.set()
        self._urgent.set()

    async def write(self) -> None:
        """Write queued events to the spool until `close`."""
        while True:
            await self._filled.wait()
            if not self._waiting:
                return
            await self._window()
            await self._write(self._take())

    async def _window(self) -> None:
        """Wait until WINDOW_SECONDS after the last write, so that deltas are joined. A delta after a longer silence
        does not wait."""
        remaining = self._written_at + WINDOW_SECONDS - time.monotonic()
        if remaining > 0:
            try:
                await asyncio.wait_for(self._urgent.wait(), remaining)
            except TimeoutError:
                return

    def _take(self) -> list[Draft]:
        taken, self._waiting, self._text_bytes = self._waiting, [], 0
        if not self._closed:
            self._filled.clear()
            self._urgent.clear()
        return coalesce(taken)

    async def _write(self, drafts: list[Draft]) -> None:
        numbers = await self._spool(Spool.append, self._run_id, drafts)
        self._written_at = time.monotonic()
        self._spooled()
        for draft, n in zip(drafts, numbers, strict=True):
            waiter = self._numbers.pop(draft.id, None)
            if waiter is not None and not waiter.done():
                waiter.set_result(n)

"""Many browser tabs at once: each reads a session over `WS /api/ws` and comes back by its cursor, as the portal."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.acceptance.talk import Json

LEAST_WAIT, LONGEST_WAIT = 0.5, 15.0
"""Seconds between attempts of a tab that found no server: doubling, with jitter."""


@dataclass(eq=False)
class _Seat:
    """One tab. `faults` counts events that did not follow the one before."""

    session_id: str
    seq: int
    is_connected: bool = False
    frames: int = 0
    faults: int = 0


@dataclass
class ManyTabs:
    """`count` tabs over the sessions, at `last_seq` in each, in a thread. `attempts` and `handshakes` are moments of
    the monotonic clock; `closings` are the servers' last frames."""

    port: int
    token: str
    session_ids: Sequence[str]
    last_seq: int
    count: int
    attempts: list[float] = field(default_factory=list)
    handshakes: list[float] = field(default_factory=list)
    closings: list[Json] = field(default_factory=list)

    def __enter__(self) -> ManyTabs:
        ids = self.session_ids
        self._seats = [_Seat(ids[number % len(ids)], self.last_seq) for number in range(self.count)]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(60)

    @property
    def connected(self) -> int:
        return sum(seat.is_connected for seat in self._seats)

    def have(self, last_seqs: Mapping[str, int]) -> bool:
        """Return whether every tab has its session's events up to these."""
        return all(seat.seq >= last_seqs[seat.session_id] for seat in self._seats)

    def counted(self) -> tuple[int, int]:
        """Return how many events the tabs got, and how many of these did not follow the one before."""
        return sum(seat.frames for seat in self._seats), sum(seat.faults for seat in self._seats)

    async def _run(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        tasks = [asyncio.create_task(self._live(seat)) for seat in self._seats]
        await self._over.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _live(self, seat: _Seat) -> None:
        failures = 0
        while True:
            try:
                wait = await self._read(seat)
                failures = 0
            except (OSError, WebSocketException):
                wait = min(LONGEST_WAIT, LEAST_WAIT * 2**failures) * random.uniform(0.5, 1)
                failures += 1
            finally:
                seat.is_connected = False
            await asyncio.sleep(wait)

    async def _read(self, seat: _Seat) -> float:
        """Read until the server closes; return how many seconds to wait before coming back."""
        self.attempts.append(time.monotonic())
        async with connect(
            f"ws://127.0.0.1:{self.port}/api/ws",
            additional_headers={"Authorization": f"Bearer {self.token}"},
            compression=None,
            proxy=None,
            ping_interval=None,
            open_timeout=30,
        ) as ws:
            self.handshakes.append(time.monotonic())
            await ws.send(json.dumps({"kind": "subscribe", "sessionId": seat.session_id, "after": seat.seq}))
            seat.is_connected = True
            return await self._follow(seat, ws)

    async def _follow(self, seat: _Seat, ws: ClientConnection) -> float:
        wait = 0.0
        with suppress(ConnectionClosed):
            async for text in ws:
                frame = json.loads(text)
                if frame["kind"] == "event":
                    seat.frames += 1
                    seat.faults += frame["seq"] != seat.seq + 1
                    seat.seq = frame["seq"]
                elif frame["kind"] == "closing":
                    self.closings.append(frame)
                    wait = frame["retryAfterMs"] / 1000
        return wait

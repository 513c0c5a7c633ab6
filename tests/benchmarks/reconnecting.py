"""G19: an API process restarts under 1,000 tabs. They come back over a time; none misses or doubles an event."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from functions.runtime.ports import raise_open_files
from tests.acceptance.stack import free_port
from tests.acceptance.waiting import wait_until
from tests.benchmarks.ground import fresh_database, make_sources, make_token, running_server, serving
from tests.benchmarks.report import Line
from tests.benchmarks.sockets import Sender

TABS, SESSIONS = 1000, 100
WITHIN_SECONDS = 120.0
LEAST_WAIT, LONGEST_WAIT = 0.5, 15.0
"""Between attempts of a tab that found no server, as the portal waits: doubling, with jitter."""


def reconnecting() -> Iterator[Line]:
    raise_open_files()
    with running_server() as server, fresh_database(server) as dsn:
        sources, port, token = make_sources(dsn, SESSIONS), free_port(), make_token(dsn)
        session_ids = [source.session_id for source in sources]
        with Sender(dsn, sources) as sender, Tabs(port, token, session_ids, last_seq=2) as tabs:
            with serving("functions.wsgi:app", dsn, port=port) as old:
                wait_until(lambda: tabs.connected == TABS, seconds=WITHIN_SECONDS, what="not all tabs came")
                sender.start()
                old.process.terminate()
                ended_at = time.monotonic()
                old.process.wait(30)
            with serving("functions.wsgi:app", dsn, port=port):
                served_at = time.monotonic()
                wait_until(lambda: tabs.connected == TABS, seconds=WITHIN_SECONDS, what="not all tabs came back")
                last_seqs = sender.stop()
                wait_until(lambda: tabs.have(last_seqs), seconds=WITHIN_SECONDS, what="events are missing")
                frames, faults = tabs.counted()
    back = sorted(at - ended_at for at in tabs.handshakes if at > ended_at)
    attempts = [at - ended_at for at in tabs.attempts if at > ended_at]
    assert faults == 0, f"{faults} events came twice or out of order"
    note = f"{SESSIONS} sessions grew meanwhile; the next process answered {served_at - ended_at:.1f} s after SIGTERM"
    yield Line("G19", f"SIGTERM to all {TABS:,} tabs back", f"{back[-1]:.1f} s", note=note)
    yield Line("G19", "most handshakes in a second, meanwhile", f"{most_in_a_second(back):,}")
    yield Line("G19", "most attempts in a second, also those that found no server", f"{most_in_a_second(attempts):,}")
    yield Line("G19", "events missed or doubled, of those sent to tabs", f"0 of {frames:,}")


def most_in_a_second(times: Sequence[float]) -> int:
    """Return the largest number of these within any second."""
    times = sorted(times)
    begin = most = 0
    for end, at in enumerate(times):
        while at - times[begin] >= 1:
            begin += 1
        most = max(most, end - begin + 1)
    return most


@dataclass(eq=False)
class _Tab:
    session_id: UUID
    seq: int
    is_connected: bool = False
    frames: int = 0
    faults: int = 0


@dataclass
class Tabs:
    """Browser tabs, each of which reads a session over `WS /api/ws` and comes back by its cursor."""

    port: int
    token: str
    session_ids: Sequence[UUID]
    last_seq: int
    count: int = TABS
    attempts: list[float] = field(default_factory=list)
    handshakes: list[float] = field(default_factory=list)

    def __enter__(self) -> Tabs:
        ids = self.session_ids
        self._tabs = [_Tab(ids[number % len(ids)], self.last_seq) for number in range(self.count)]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(60)

    @property
    def connected(self) -> int:
        return sum(tab.is_connected for tab in self._tabs)

    def have(self, last_seqs: dict[UUID, int]) -> bool:
        """Return whether every tab has its session's events up to these."""
        return all(tab.seq >= last_seqs[tab.session_id] for tab in self._tabs)

    def counted(self) -> tuple[int, int]:
        """Return how many events the tabs got, and how many of these did not follow the one before."""
        return sum(tab.frames for tab in self._tabs), sum(tab.faults for tab in self._tabs)

    async def _run(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        tasks = [asyncio.create_task(self._live(tab)) for tab in self._tabs]
        await self._over.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _live(self, tab: _Tab) -> None:
        failures = 0
        while True:
            try:
                wait = await self._read(tab)
                failures = 0
            except (OSError, WebSocketException):
                wait = min(LONGEST_WAIT, LEAST_WAIT * 2**failures) * random.uniform(0.5, 1)
                failures += 1
            finally:
                tab.is_connected = False
            await asyncio.sleep(wait)

    async def _read(self, tab: _Tab) -> float:
        """Read until the server closes; returns how many seconds to wait before coming back."""
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
            await ws.send(json.dumps({"kind": "subscribe", "sessionId": str(tab.session_id), "after": tab.seq}))
            tab.is_connected = True
            return await self._follow(tab, ws)

    async def _follow(self, tab: _Tab, ws: ClientConnection) -> float:
        wait = 0.0
        try:
            async for text in ws:
                frame = json.loads(text)
                if frame["kind"] == "event":
                    tab.frames += 1
                    tab.faults += frame["seq"] != tab.seq + 1
                    tab.seq = frame["seq"]
                elif frame["kind"] == "closing":
                    wait = frame["retryAfterMs"] / 1000
        except ConnectionClosed:
            pass
        return wait

"""G19: what 1,000 peers cost the others that send half a request and no more; what a process does under overload."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import repeat

import psutil

from functions.runtime.ports import raise_open_files
from tests.acceptance.stack import free_port
from tests.benchmarks.figures import in_turns, percentile
from tests.benchmarks.ground import fresh_database, make_sources, make_token, running_server, serving
from tests.benchmarks.load import call, http_request
from tests.benchmarks.report import Line, Wanted, bounded, rated

PEERS, CONNECTIONS, SECONDS = 1000, 4, 3.0
MOST_REQUESTS, EVENTS = 1000, 10
Requests = Callable[[], list[Iterator[bytes]]]
WANTED = Wanted("<=", 1.5)
CALLBACKS = "POST /api/runs/00000000-0000-4000-8000-000000000000/callbacks HTTP/1.1\r\nHost: localhost\r\n"
HALVES = (
    b"GET /health HTTP/1.1\r\nHos",
    f"{CALLBACKS}Content-Length: 1000\r\n\r\n{{".encode(),
    f"{CALLBACKS}Transfer-Encoding: chunked\r\n\r\n3e8\r\n{{".encode(),
)


def slow_peers() -> Iterator[Line]:
    apart = free_port()
    settings = {"RUNYARD_WORKER_BIND": f"127.0.0.1:{apart}"}
    with (
        running_server() as server,
        fresh_database(server) as dsn,
        serving("functions.wsgi:app", dsn, settings=settings) as api,
    ):
        yield _compared("/health p99", api.port, lambda: _pages(api.port, "/health"))
        yield _compared("sign-in page p99", api.port, lambda: _pages(api.port, "/sign-in"))
        yield _compared("callbacks p99", api.port, lambda: _reports(dsn, api.port))
        yield _compared("callbacks p99, all at the executor port", apart, lambda: _reports(dsn, apart))


def _compared(what: str, port: int, requests: Requests) -> Line:
    """The same requests beside slow peers at the same port, and without."""

    def alone() -> float:
        return call(port, requests(), seconds=SECONDS).p99

    def beside() -> float:
        made = requests()
        with _slow(port):
            return call(port, made, seconds=SECONDS).p99

    return rated("G19", f"{what}, beside {PEERS:,} slow peers", in_turns(beside, alone), unit="ms", wanted=WANTED)


def _pages(port: int, path: str) -> list[Iterator[bytes]]:
    return [repeat(http_request(port, "GET", path))] * CONNECTIONS


def _reports(dsn: str, port: int) -> list[Iterator[bytes]]:
    sources = make_sources(dsn, CONNECTIONS)
    return [iter([source.request(port, EVENTS) for _ in range(MOST_REQUESTS)]) for source in sources]


@contextmanager
def _slow(port: int) -> Iterator[None]:
    with ExitStack() as stack:
        for number in range(PEERS):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            peer.sendall(HALVES[number % len(HALVES)])
        _settle(port)
        yield
    _settle(port)


def _settle(port: int) -> None:
    """Wait until the server has taken in what was sent before: it reads in order."""
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(http_request(port, "GET", "/", headers=[("Connection", "close")]))
            while peer.recv(65_536):
                pass


CROWD, OVERLOAD_SECONDS, CALM_SECONDS, WAITING = 2000, 20.0, 10.0, 100


def overload() -> Iterator[Line]:
    """Ten times as many peers as a process serves and lets wait, each with one request after the other."""
    raise_open_files()
    with (
        running_server() as server,
        fresh_database(server) as dsn,
        serving("functions.wsgi:app", dsn, settings={"API_WAITING_MAX": str(WAITING)}) as api,
    ):
        headers = [("Authorization", f"Bearer {make_token(dsn)}")]
        asked = http_request(api.port, "GET", "/api/me", headers=headers)
        last = http_request(api.port, "GET", "/api/me", headers=[*headers, ("Connection", "close")])
        before = call(api.port, [repeat(asked)] * CONNECTIONS, seconds=SECONDS)
        [worker] = psutil.Process(api.process.pid).children()
        memory, most_memory, statuses = worker.memory_info().rss, 0, Counter[bytes]()
        until = time.monotonic() + OVERLOAD_SECONDS
        crowd = threading.Thread(target=lambda: asyncio.run(_crowd(api.port, last, statuses, until)))
        crowd.start()
        reported: list[float] = []
        while crowd.is_alive():
            reported += call(api.port, _reports(dsn, api.port), seconds=1).milliseconds
            most_memory = max(most_memory, worker.memory_info().rss)
        crowd.join()
        pause = _recovery(api.port, asked, most_ms=1.5 * before.p50)
    told = ", ".join(f"{status.decode() or 'no answer'}: {count:,}" for status, count in sorted(statuses.items()))
    yield Line("overload", f"answers to {CROWD:,} peers in {OVERLOAD_SECONDS:.0f} s", told)
    yield Line(
        "overload", "callbacks taken meanwhile, all 200", f"{len(reported):,}, p99 {percentile(reported, 99):.0f} ms"
    )
    yield Line("overload", "memory more than before", f"{max(0, most_memory - memory) / 2**20:.0f} MiB")
    yield _recovered(pause)


def _recovery(port: int, asked: bytes, *, most_ms: float) -> float | None:
    """Return the seconds until the median answer takes at most `most_ms`. Return None when it never does in time."""
    began = time.monotonic()
    while time.monotonic() - began < CALM_SECONDS:
        if call(port, [repeat(asked)] * CONNECTIONS, seconds=0.5).p50 <= most_ms:
            return time.monotonic() - began
    return None


def _recovered(seconds: float | None) -> Line:
    measured = f"not within {CALM_SECONDS:.0f} s" if seconds is None else f"{seconds:.1f} s"
    what = "until answers take what they took before"
    figure = math.inf if seconds is None else seconds
    return bounded("overload", what, figure, unit="s", most=CALM_SECONDS, measured=measured)


async def _crowd(port: int, asked: bytes, statuses: Counter[bytes], until: float) -> None:
    async def peer() -> None:
        while time.monotonic() < until:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(asked)
                status = (await reader.read(65_536))[9:12]
                writer.close()
            except OSError:
                status = b""
            statuses[status] += 1
            await asyncio.sleep(0.2 if status == b"200" else 1)

    await asyncio.gather(*(peer() for _ in range(CROWD)))

"""Whatever bytes come over a socket: no answer of 500, bounded memory, and a process that goes on serving.

RUNYARD_FUZZ_SECONDS fuzzes for so long. The seed is printed; RUNYARD_TEST_SEED repeats it in a full run.
"""

from __future__ import annotations

import os
import random
import re
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from tests.integration.functions.conftest import NO_SHARES, Serve, Served
from tests.integration.functions.runtime.peers import CALLBACKS
from tests.thoroughness import FULL, SEED

SECONDS = float(os.environ.get("RUNYARD_FUZZ_SECONDS") or (600 if FULL else 60))
pytestmark = pytest.mark.timeout(int(SECONDS) + 300)
TOGETHER = 20
ANSWER_SECONDS = 1.0
"""A peer that sends half a request is not waited for any longer."""
MOST_GROWTH = 300 * 1024 * 1024
ENOUGH = {200, 400, 401}
"""Requests that are all too bad would show nothing."""
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
METHODS = [b"GET", b"POST", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH", b"get", b"BREW", b"", b"\xff", b"G" * 500]
PATHS = [
    *(
        b"/",
        b"/health",
        b"/api/me",
        b"/api/ws",
        b"/api/runs/start",
        b"/sign-in",
        b"*",
        b"",
        b"/%",
        b"/%00",
        b"//x/..//",
    ),
    *(CALLBACKS.encode(), b"/api/sessions?q=%ff&limit=1e9", b"http://localhost/health", b"/" + b"a/" * 3000, b"/\xc3"),
]
VERSIONS = [b"HTTP/1.1"] * 30 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b"", b"HTTP/1.1 x", b"\0"]
NAMES = [
    *(b"Content-Length", b"Transfer-Encoding", b"Content-Encoding", b"Expect", b"Connection", b"Upgrade", b"Host"),
    *(b"Authorization", b"Cookie", b"Origin", b"Accept", b"Range", b"traceparent", b"X-Forwarded-For", b"Trailer"),
    *(b"webhook-id", b"webhook-signature", b"webhook-timestamp", b"runyard-attempt", b"Sec-WebSocket-Key", b"", b" "),
    *(b"Idempotency-Key", b"Prefer", b"Content-Type", b"Last-Event-ID", b"A B", b"\xe9", b"N" * 4000),
]
VALUES = [
    *(b"0", b"1", b"2", b"5", b"-1", b"+1", b"1,1", b"0x1", b"99999999999999999999", b"", b"chunked", b"gzip, chunked"),
    *(b"chunked, chunked", b"identity", b"100-continue", b"close", b"keep-alive", b"websocket", b"localhost", b"[::"),
    *(b"Bearer x", b"Bearer", b"Basic eDp4", b"bytes=0-", b"bytes=9-1", b"wait=99999999999", b"application/json"),
    *(
        b"multipart/form-data; boundary=",
        b"\0",
        b"\xff" * 20,
        b"v" * 9000,
        b"a\rb",
        b"a\nb",
        b"eHh4eHh4eHh4eHh4eHh4eA==",
    ),
]
ENDS = [b"\r\n"] * 80 + [b"\n", b"\r", b"\r\n ", b"\0\r\n"]
BODIES = [
    *(b"", b"{}", b"x", b"[" * 5000, b'{"prompt":"x"}', b"\x1f\x8b\x08\0", b"0\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
    *(b"2\r\n{}", b"ffffffffffffffff\r\n", b"-1\r\n", b"2;a\r\n{}\r\n0\r\nA: b\r\n\r\n", b"1\r\n" * 2000, b"\r\n" * 50),
    *(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x88\x82\0\0\0\0\x03\xe8", b"\x16\x03\x01\x02\0\x01"),
]
Bytes = Callable[[random.Random], bytes]


def request(chance: random.Random) -> bytes:
    """One request, in which anything may be wrong."""
    lines = [b" ".join([chance.choice(METHODS), chance.choice(PATHS), chance.choice(VERSIONS)])]
    if chance.random() < 0.9:
        lines.append(b"Host: localhost")
    for _ in range(chance.choice([0, 1, 1, 2, 3, 5, 200])):
        lines.append(chance.choice(NAMES) + chance.choice([b": ", b":", b" : ", b""]) + chance.choice(VALUES))
    head = b"".join(line + chance.choice(ENDS) for line in lines) + chance.choice(ENDS)
    return head + chance.choice(BODIES)


def sent(chance: random.Random) -> bytes:
    """What one peer sends: requests one behind the other, cut, mixed up, or no HTTP at all."""
    made = b"".join(request(chance) for _ in range(chance.choice([1, 1, 1, 2, 4])))
    way = chance.random()
    if way < 0.1:
        return chance.randbytes(chance.choice([1, 100, 70_000]))
    if way < 0.25:
        return made[: chance.randrange(len(made) + 1)]
    if way < 0.4:
        changed = bytearray(made)
        for _ in range(chance.choice([1, 3, 20])):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        return bytes(changed)
    return made


def send_and_end(port: int, data: bytes) -> socket.socket | None:
    """Send it all and say that no more will come. None when the server has closed before."""
    peer = socket.create_connection(("127.0.0.1", port), timeout=30)
    with suppress(OSError):
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        peer.settimeout(0)
        return peer
    peer.close()
    return None


def answers(peers: list[socket.socket]) -> bytes:
    """What the server says to these peers until it closes, or says nothing more for ANSWER_SECONDS."""
    said, left = b"", set(peers)
    while left:
        readable, _, _ = select.select(list(left), [], [], ANSWER_SECONDS)
        if not readable:
            break
        for peer in readable:
            try:
                piece = peer.recv(65_536)
            except BlockingIOError:
                continue
            except OSError:
                piece = b""
            said += piece
            if not piece:
                left.discard(peer)
    return said


def memory_of(served: Served) -> int:
    [worker] = psutil.Process(served.process.pid).children()
    return int(worker.memory_info().rss)


def test_no_bytes_break_the_server(serve: Serve) -> None:
    served = serve(**NO_SHARES)
    chance = random.Random(SEED if FULL else 19)
    print(f"RUNYARD_TEST_SEED={SEED if FULL else 19} repeats this")
    [worker] = psutil.Process(served.process.pid).children()
    driver, before, seen = served.bind(), memory_of(served), Counter[int]()
    until = time.monotonic() + SECONDS
    while time.monotonic() < until or not set(seen) >= ENOUGH:
        batch = [sent(chance) for _ in range(TOGETHER)]
        peers = [peer for data in batch if (peer := send_and_end(served.port, data)) is not None]
        said = answers(peers)
        for peer in peers:
            peer.close()
        statuses = [int(status) for status in STATUS.findall(said)]
        broken = [status for status in statuses if status >= 500 and status != 501]
        assert broken == [], batch
        seen.update(statuses)
        assert memory_of(served) - before < MOST_GROWTH
    print(dict(seen))
    assert worker.is_running(), "another process has taken its place"
    assert driver.report(driver.delta("x"))[0] == 200
    assert [line for line in served.log_lines() if line["level"] in ("error", "critical")] == []

"""Load on loopback: a number of kept connections, each sending its own requests one after the other.

One thread and raw sockets, so that the client costs little beside the server that is measured.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.benchmarks.figures import percentile

GIVE_UP_SECONDS = 60.0


@dataclass(frozen=True)
class Served:
    """What a burst of requests met: answers a second, and how long they took, in milliseconds."""

    per_second: float
    milliseconds: tuple[float, ...]

    @property
    def p50(self) -> float:
        return percentile(self.milliseconds, 50)

    @property
    def p99(self) -> float:
        return percentile(self.milliseconds, 99)


class UnexpectedAnswer(AssertionError):
    """The server said something else than 200: nothing was measured."""


@dataclass
class _Caller:
    sock: socket.socket
    requests: Iterator[bytes]
    sent_at: float = 0.0
    received: bytes = b""


def http_request(
    port: int, method: str, path: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()
) -> bytes:
    """A whole HTTP/1.1 request of a kept connection."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def call(port: int, requests: Sequence[Iterator[bytes]], *, seconds: float) -> Served:
    """A connection for each of these; all go on until the time is over or one of them has nothing more to send."""
    took: list[float] = []
    with selectors.DefaultSelector() as selector:
        callers = [_Caller(socket.create_connection(("127.0.0.1", port)), iter(each)) for each in requests]
        for caller in callers:
            caller.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(caller.sock, selectors.EVENT_READ, caller)
        began = time.perf_counter()
        busy = sum(_send_next(caller) for caller in callers)
        is_over = busy < len(callers)
        while busy:
            ready = selector.select(GIVE_UP_SECONDS)
            if not ready:
                raise UnexpectedAnswer(f"no answer within {GIVE_UP_SECONDS} s")
            for key, _ in ready:
                caller = key.data
                if not _has_answer(caller):
                    continue
                now = time.perf_counter()
                took.append((now - caller.sent_at) * 1000)
                is_over = is_over or now - began > seconds or not _send_next(caller)
                busy -= is_over
        elapsed = time.perf_counter() - began
        for caller in callers:
            caller.sock.close()
    return Served(len(took) / elapsed, tuple(took))


def _send_next(caller: _Caller) -> bool:
    request = next(caller.requests, None)
    if request is None:
        return False
    caller.sent_at = time.perf_counter()
    caller.sock.sendall(request)
    return True


def _has_answer(caller: _Caller) -> bool:
    chunk = caller.sock.recv(65_536)
    caller.received += chunk
    head, gap, body = caller.received.partition(b"\r\n\r\n")
    if not gap:
        if not chunk:
            raise UnexpectedAnswer("the server closed the connection")
        return False
    if not head.startswith(b"HTTP/1.1 200"):
        raise UnexpectedAnswer(caller.received[:500].decode(errors="replace"))
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    if len(body) < length:
        return False
    caller.received = b""
    return True

"""Keep the state of one listening port and its peers. Only the main loop of the door touches it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from gunicorn.workers.gthread import TConn  # type: ignore[import-untyped]

from functions.runtime.peer_socket import PeerSocket
from functions.runtime.request_reader import BodyLimit, RequestReader, WholeRequest

HEAD_SECONDS = 10.0
SILENCE_SECONDS = 10.0
SLOWEST_RATE = 500
"""The least average rate of a body that comes in or an answer that goes out, in bytes a second."""
SMALL_BYTES = 65_536


class Peer(TConn):  # type: ignore[misc]
    """A connection. It ends at `timeout`, on the monotonic clock, unless bytes move before."""

    def __init__(self, cfg: Any, sock: PeerSocket, address: Any, port: ServedPort) -> None:
        super().__init__(cfg, sock, address, sock.getsockname())
        self.port = port
        self.initialized = self.data_ready = True  # gthread has nothing to read
        self.held_bytes = 0
        self._since = 0.0
        self._answered = 0
        self.is_kept = self.is_counted = False
        self.expect_request(seconds=HEAD_SECONDS)

    def expect_request(self, *, seconds: float) -> bytes:
        """Begin to wait for the next request. Returns the bytes of it that were read ahead."""
        rest, self.sock.read_ahead = self.sock.read_ahead, b""
        self.reader = RequestReader(self.cfg, self.client, self.port.body_limit)
        self.parser: WholeRequest | None = None
        self.timeout = time.monotonic() + seconds
        return bytes(rest)

    @property
    def goes_first(self) -> bool:
        """Whether the request, whose head is here, is served however many others wait."""
        return self.port.goes_first(*self.reader.target)

    def take(self, received: bytes) -> bool:
        """Add received bytes to the request. Returns whether it is whole now; raises RefusedRequest."""
        had_begun, had_head = self.reader.has_begun, self.reader.has_head
        is_whole = self.reader.feed(received)
        if self.reader.has_head:
            self._moved(self.reader.body_bytes, is_first=not had_head)
        elif self.reader.has_begun and not had_begun:
            self.timeout = time.monotonic() + HEAD_SECONDS
        return is_whole

    def begin_answer(self) -> None:
        """Begin to send the rest of an answer that a thread has left."""
        self._answered = 0
        self._moved(0, is_first=True)

    def send_answer(self) -> bool:
        """Send as much as the peer takes now. Returns whether all is sent; raises OSError when the peer has gone."""
        if sent := self.sock.send_kept():
            self._answered += sent
            self._moved(self._answered, is_first=False)
        return not self.sock.unsent

    def _moved(self, total: int, *, is_first: bool) -> None:
        """Extend the time-out after a move; `total` is in bytes since the first one."""
        now = time.monotonic()
        self._since = now if is_first else self._since
        self.timeout = min(now, self._since + total / SLOWEST_RATE) + SILENCE_SECONDS


@dataclass
class ServedPort:
    """A listening port with threads and limits of its own.

    `most_peers` and `most_bytes` count over all its peers. A request's bytes count until the peer has its answer.
    A request is at work from when it is whole until a thread has answered it. Beyond `most_at_work` requests are
    refused, but for those that go first, which have threads of their own and do not count.

    `waiting` holds peers whose request is not whole, `reading` those with a part of their answer unsent, `parting`
    those that are being closed. All are dicts, to keep their order: the oldest comes first.
    """

    threads: Executor
    first_threads: Executor
    goes_first: Callable[[str, str], bool]
    most_at_work: int
    most_peers: int
    most_bytes: int
    body_limit: BodyLimit
    at_work: int = 0
    peers: int = 0
    held_bytes: int = 0
    waiting: dict[Peer, None] = field(default_factory=dict)
    reading: dict[Peer, None] = field(default_factory=dict)
    parting: dict[Peer, None] = field(default_factory=dict)

    @property
    def is_overloaded(self) -> bool:
        return self.at_work >= self.most_at_work

    def begin_work(self, peer: Peer) -> Executor:
        """Count the request and return the threads that serve it."""
        peer.is_counted = not peer.goes_first
        self.at_work += peer.is_counted
        return self.threads if peer.is_counted else self.first_threads

    def end_work(self, peer: Peer) -> None:
        """Forget the request, which a thread has answered, and its bytes."""
        self.at_work -= peer.is_counted
        peer.is_counted = False
        self.release(peer)

    def hold(self, peer: Peer, size: int) -> None:
        peer.held_bytes += size
        self.held_bytes += size

    def release(self, peer: Peer) -> None:
        self.held_bytes -= peer.held_bytes
        peer.held_bytes = 0

    def hoarder(self) -> Peer | None:
        """Return the peer to end when memory is short: the oldest with more than SMALL_BYTES, else any."""
        holding = [peer for peer in (*self.reading, *self.waiting) if peer.held_bytes]
        return next((peer for peer in holding if peer.held_bytes > SMALL_BYTES), holding[0] if holding else None)

    def late(self, now: float) -> list[Peer]:
        """Return the peers whose time-out has passed."""
        return [peer for peer in (*self.waiting, *self.reading, *self.parting) if peer.timeout <= now]

"""What one listening address has of its own: threads, and limits over all its peers. Only the main loop touches it."""

from __future__ import annotations

import time
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from gunicorn.workers.gthread import TConn  # type: ignore[import-untyped]

from functions.runtime.peer_socket import PeerSocket
from functions.runtime.request_reader import BodyLimit, RequestReader, WholeRequest

HEAD_SECONDS = 10.0
SILENCE_SECONDS = 10.0
SLOWEST_RATE = 500
"""Bytes a second in which a body comes in, and an answer is taken, after the first SILENCE_SECONDS."""
SMALL_BYTES = 65_536


class Peer(TConn):  # type: ignore[misc]
    """A connection. `timeout`, of the monotonic clock, is when it ends unless more comes in."""

    def __init__(self, cfg: Any, sock: PeerSocket, address: Any, port: ServedPort) -> None:
        super().__init__(cfg, sock, address, sock.getsockname())
        self.port = port
        self.initialized = self.data_ready = True  # gthread has nothing to read
        self.held_bytes = 0
        self._since = 0.0
        self._answered = 0
        self.is_kept = False
        self.expect_request(seconds=HEAD_SECONDS)

    def expect_request(self, *, seconds: float) -> bytes:
        """Wait so long for the next request to begin. Returns what was read of it already."""
        rest, self.sock.read_ahead = self.sock.read_ahead, b""
        self.reader = RequestReader(self.cfg, self.client, self.port.body_limit)
        self.parser: WholeRequest | None = None
        self.timeout = time.monotonic() + seconds
        return bytes(rest)

    def take(self, received: bytes) -> bool:
        """Whether the request is whole now. Raises RefusedRequest."""
        had_begun, had_head = self.reader.has_begun, self.reader.has_head
        is_whole = self.reader.feed(received)
        if self.reader.has_head:
            self._moved(self.reader.body_bytes, is_first=not had_head)
        elif self.reader.has_begun and not had_begun:
            self.timeout = time.monotonic() + HEAD_SECONDS
        return is_whole

    def begin_answer(self) -> None:
        """A thread has left an answer that the peer has not taken yet."""
        self._answered = 0
        self._moved(0, is_first=True)

    def send_answer(self) -> bool:
        """Send what the peer takes now; whether that is all. Raises OSError when it has gone."""
        if sent := self.sock.send_kept():
            self._answered += sent
            self._moved(self._answered, is_first=False)
        return not self.sock.unsent

    def _moved(self, total: int, *, is_first: bool) -> None:
        """So many bytes have come or gone since the first: there is time until they are too few."""
        now = time.monotonic()
        self._since = now if is_first else self._since
        self.timeout = min(now, self._since + total / SLOWEST_RATE) + SILENCE_SECONDS


@dataclass
class ServedPort:
    """`most_peers` and `most_bytes` are over all its peers; a request's bytes count until it is answered.

    `waiting` has the peers whose request is not whole, the first the one that began longest ago; `reading` those that
    have not taken their answer yet; `parting` those that are given a moment to read the last of it. Each is a dict for
    its order.
    """

    threads: Executor
    most_peers: int
    most_bytes: int
    body_limit: BodyLimit
    peers: int = 0
    held_bytes: int = 0
    waiting: dict[Peer, None] = field(default_factory=dict)
    reading: dict[Peer, None] = field(default_factory=dict)
    parting: dict[Peer, None] = field(default_factory=dict)

    def hold(self, peer: Peer, size: int) -> None:
        peer.held_bytes += size
        self.held_bytes += size

    def release(self, peer: Peer) -> None:
        self.held_bytes -= peer.held_bytes
        peer.held_bytes = 0

    def hoarder(self) -> Peer | None:
        """Whom to end when too much is held: who began longest ago of those that hold more than a little, or of all."""
        holding = [peer for peer in (*self.reading, *self.waiting) if peer.held_bytes]
        return next((peer for peer in holding if peer.held_bytes > SMALL_BYTES), holding[0] if holding else None)

    def late(self, now: float) -> list[Peer]:
        """Those whose time is over."""
        return [peer for peer in (*self.waiting, *self.reading, *self.parting) if peer.timeout <= now]

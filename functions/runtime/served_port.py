"""What one listening address has of its own: threads, and limits over all its peers. Only the main loop touches it."""

from __future__ import annotations

import socket
import time
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from gunicorn.workers.gthread import TConn  # type: ignore[import-untyped]

from functions.runtime.request_reader import BodyLimit, RequestReader, WholeRequest

HEAD_SECONDS = 10.0
BODY_SILENCE_SECONDS = 10.0
SLOWEST_BODY = 500
"""Bytes a second that a body must come in with, after its first BODY_SILENCE_SECONDS."""
SEND_SECONDS = 10
SMALL_BYTES = 65_536


class PeerSocket(socket.socket):
    """A peer's socket. `read_ahead` is what was read behind the request that a thread has now."""

    read_ahead = b""

    def hand_over(self) -> tuple[socket.socket, bytes]:
        """Give the socket and what was read ahead to another owner; the server forgets the connection."""
        return socket.socket(self.family, self.type, self.proto, fileno=self.detach()), self.read_ahead

    @property
    def is_handed_over(self) -> bool:
        return self.fileno() < 0

    def sendall(self, data: Any, flags: int = 0) -> None:
        """As ever; a peer that takes nothing for SEND_SECONDS has gone."""
        try:
            super().sendall(data, flags)
        except BlockingIOError:
            raise BrokenPipeError("the peer does not read") from None


class Peer(TConn):  # type: ignore[misc]
    """A connection. `timeout`, of the monotonic clock, is when it ends unless more comes in."""

    def __init__(self, cfg: Any, sock: PeerSocket, address: Any, port: ServedPort) -> None:
        super().__init__(cfg, sock, address, sock.getsockname())
        self.port = port
        self.initialized = self.data_ready = True  # gthread has nothing to read
        self.held_bytes = 0
        self._body_since = 0.0
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
        now = time.monotonic()
        if self.reader.has_head:
            self._body_since = self._body_since if had_head else now
            earned = self.reader.body_bytes / SLOWEST_BODY
            self.timeout = min(now, self._body_since + earned) + BODY_SILENCE_SECONDS
        elif self.reader.has_begun and not had_begun:
            self.timeout = now + HEAD_SECONDS
        return is_whole


@dataclass
class ServedPort:
    """`most_peers` and `most_bytes` are over all its peers; a request's bytes count until it is answered.

    `waiting` has the peers whose request is not whole, the first the one that began longest ago; `parting` those that
    were answered and are given a moment to read it, with the time when it ends.
    """

    threads: Executor
    most_peers: int
    most_bytes: int
    body_limit: BodyLimit
    peers: int = 0
    held_bytes: int = 0
    waiting: dict[Peer, None] = field(default_factory=dict)
    parting: dict[Peer, float] = field(default_factory=dict)

    def hold(self, peer: Peer, size: int) -> None:
        peer.held_bytes += size
        self.held_bytes += size

    def release(self, peer: Peer) -> None:
        self.held_bytes -= peer.held_bytes
        peer.held_bytes = 0

    def hoarder(self) -> Peer | None:
        """Whom to end when too much is held: who began longest ago of those that hold more than a little, or of all."""
        holding = [peer for peer in self.waiting if peer.held_bytes]
        return next((peer for peer in holding if peer.held_bytes > SMALL_BYTES), holding[0] if holding else None)

"""A peer that stops reading costs its own socket and nothing else: every send has a deadline."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import suppress
from typing import Any

SEND_SECONDS = 5.0
DEAD_MILLISECONDS = 30_000


class Stalled(OSError):
    """The peer has taken nothing for too long; what was begun lies unsent."""


class SocketWithDeadline:
    """What simple-websocket takes for a socket: each send is whole, alone, and bounded in time.

    A blocking send without a deadline would hold its thread for ever, one with SO_SNDTIMEO would cut a frame silently,
    and the thread that pings would write into the middle of another's frame.
    """

    def __init__(self, sock: socket.socket, *, send_seconds: float = SEND_SECONDS) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._rest = b""
        self.send_seconds = send_seconds

    def send(self, data: bytes) -> int:
        """Send all of it; raises Stalled when nothing moves for `send_seconds`. What is left is kept for next time."""
        with self._lock:
            self._rest += data
            moved_at = time.monotonic()
            while self._rest:
                left = moved_at + self.send_seconds - time.monotonic()
                if left <= 0:
                    raise Stalled("the peer does not read")
                if _is_ready(self._sock, select.POLLOUT, left):
                    with suppress(BlockingIOError):
                        sent = self._sock.send(self._rest, socket.MSG_DONTWAIT)
                        self._rest = self._rest[sent:]
                        moved_at = time.monotonic()
        return len(data)

    def recv(self, size: int) -> bytes:
        return self._sock.recv(size)

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def hang_up(self) -> None:
        """End both directions at once; the thread that reads sees the end."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)


def watch_for_dead_peer(sock: Any) -> None:
    """Have the kernel give up on a peer that acknowledges nothing, instead of trying for a quarter of an hour."""
    with suppress(OSError):  # not a TCP socket
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_MILLISECONDS)


def has_hung_up(sock: socket.socket) -> bool:
    """Whether the peer has closed its side; nothing is taken from what it has sent."""
    try:
        return _is_ready(sock, select.POLLIN, 0) and sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except OSError:
        return True


def _is_ready(sock: socket.socket, event: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(sock.fileno(), event)
    return bool(poll.poll(seconds * 1000))

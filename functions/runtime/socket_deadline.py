"""Give every socket send a deadline, so that a peer that stops reading costs only its own socket."""

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
    """The peer has read nothing for too long; a message is partly unsent."""


class SocketWithDeadline:
    """The socket that simple-websocket uses. It sends each message completely, one at a time, in bounded time.

    A blocking send without a deadline holds its thread forever, and SO_SNDTIMEO cuts a frame silently. Without the
    lock, the ping thread would write into the middle of another frame.
    """

    def __init__(self, sock: socket.socket, *, send_seconds: float = SEND_SECONDS) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._rest = b""
        self.send_seconds = send_seconds

    def send(self, data: bytes) -> int:
        """Send all data. Raises Stalled when nothing moves for `send_seconds`; the next send begins with the rest."""
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
        """Shut down both directions at once; the reading thread sees the end."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)


def watch_for_dead_peer(sock: Any) -> None:
    """Have the kernel drop a peer that acknowledges nothing for 30 s, instead of retrying for a quarter of an hour."""
    with suppress(OSError):  # not a TCP socket
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_MILLISECONDS)


def has_hung_up(sock: socket.socket) -> bool:
    """Return whether the peer has closed its side, without consuming received data."""
    try:
        return _is_ready(sock, select.POLLIN, 0) and sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except OSError:
        return True


def _is_ready(sock: socket.socket, event: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(sock.fileno(), event)
    return bool(poll.poll(seconds * 1000))

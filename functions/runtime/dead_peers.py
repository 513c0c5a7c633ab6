"""Notice peers that have gone without a word."""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import Any

DEAD_MILLISECONDS = 30_000


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

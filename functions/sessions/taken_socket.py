"""Take a socket out of the WSGI server once flask-sock has answered its handshake, without a thread for it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from functions.runtime.dead_peers import watch_for_dead_peer
from functions.runtime.peer_socket import PeerSocket


class NoThread:
    """Stands where simple-websocket would start a thread for the socket: the hub serves it."""

    def __init__(self, target: Callable[[], None]) -> None:
        del target
        self.name = "none"

    def start(self) -> None:
        """Start nothing."""


SERVER_OPTIONS = {"thread_class": NoThread}


@dataclass(frozen=True)
class TakenSocket:
    """`received` came in behind the handshake."""

    sock: socket.socket
    received: bytes


def take_socket(ws: Any) -> TakenSocket:
    """Own the socket from now on. The server sees a connection that is over, and flask-sock one that is closed."""
    ws.connected = False
    sock = ws.sock
    if isinstance(sock, PeerSocket):
        taken = TakenSocket(*sock.hand_over())
    else:  # a dup would end when the server shuts the connection down
        taken = TakenSocket(socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach()), b"")
    watch_for_dead_peer(taken.sock)
    return taken

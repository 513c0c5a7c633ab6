"""The socket of one session: a snapshot unless a cursor is given, then each event once, in order."""

from __future__ import annotations

import json
import socket
from contextlib import suppress

from functions.runtime.socket_peer import SocketPeer
from functions.runtime.stream_slots import SocketSlot
from functions.sessions.session_reading import Beginning, LiveParts, SessionReading
from functions.sessions.socket_frames import PONG, ClosingFrame, json_of
from handlers.access.permissions import Actor


class SessionSocket:
    """Owns a peer of the hub."""

    def __init__(self, parts: LiveParts, actor: Actor, begin: Beginning) -> None:
        self._parts, self._actor, self._begin = parts, actor, begin
        self._reading: SessionReading | None = None

    def begin(self, sock: socket.socket, slot: SocketSlot, received: bytes) -> None:
        peer = self._parts.hub.adopt(sock, self, slot)
        if peer is None:
            return
        self._reading = SessionReading(
            self._parts,
            peer,
            self._actor,
            self._begin,
            lost=lambda code, reason: self._parts.hub.close(peer, code, reason),
            gets_presence=False,
        )
        if peer.is_gone:
            self._reading.end()
        self._parts.hub.feed(peer, received)

    def on_text(self, peer: SocketPeer, text: str) -> None:
        """Answer pings; ignore unknown messages of newer clients."""
        with suppress(ValueError, AttributeError, RecursionError):
            if json.loads(text).get("kind") == "ping":
                self._parts.hub.send_message(peer, PONG)

    def on_room(self, peer: SocketPeer) -> None:  # noqa: ARG002  it is ours
        if self._reading is not None:
            self._reading.go_on()

    def on_gone(self, peer: SocketPeer) -> None:  # noqa: ARG002  it is ours
        if self._reading is not None:
            self._reading.end()

    def farewell(self, code: int, reason: str, retry_after_ms: int | None) -> bytes:
        seq = self._begin.after if self._reading is None else self._reading.seq
        return json_of(ClosingFrame(code=code, reason=reason, seq=seq, retry_after_ms=retry_after_ms))

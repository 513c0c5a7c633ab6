"""One WebSocket peer of the hub: its protocol, and a bounded buffer of what it has not taken yet.

Only the hub's thread touches a peer.
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import pack
from typing import Protocol as Interface

from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

MOST_MESSAGE_BYTES = 65_536
BUFFER_BYTES = 1024 * 1024
ROOM_BYTES = BUFFER_BYTES // 2
SENT_TOGETHER = 16
SLOWEST_READER = 20_000
"""Bytes a second that a peer must take while something waits for it, after the first seconds."""
PING = Frame(Opcode.PING, b"").serialize(mask=False)
_protocol_log = logging.getLogger("functions.runtime.socket_peer.protocol")
_protocol_log.setLevel(logging.WARNING)


class LogCursor(Interface):
    """Up to where a peer has a log: `queued` for it, and `sent`, which the kernel has taken."""

    queued: int
    sent: int


class PeerOwner(Interface):
    """Gives a peer its meaning. The hub calls these in its own thread; none of them may wait."""

    def on_text(self, peer: SocketPeer, text: str) -> None:
        """The peer has sent a message."""
        ...

    def on_room(self, peer: SocketPeer) -> None:
        """The peer's buffer has room again, after `peer.waits_for_room` was set."""
        ...

    def on_gone(self, peer: SocketPeer) -> None:
        """The peer is closed or about to be: send it nothing more."""
        ...

    def farewell(self, code: int, reason: str, retry_after_ms: int | None) -> bytes:
        """Return the last message, as JSON."""
        ...


@dataclass(slots=True)
class _Chunk:
    """Whole frames that leave together. Once they are sent, `cursor.sent` is `seq`."""

    data: bytes
    cursor: LogCursor | None
    seq: int


@dataclass(slots=True, eq=False)
class SocketPeer:
    """Times are of the monotonic clock. `behind_since` is None while nothing waits for the peer."""

    sock: socket.socket
    owner: PeerOwner
    now: float
    protocol: Protocol = field(init=False)
    chunks: deque[_Chunk] = field(default_factory=deque)
    buffered: int = 0
    waits_for_room: bool = False
    is_writing: bool = False
    parting_until: float | None = None
    heard_at: float = field(init=False)
    pinged_at: float = field(init=False)
    behind_since: float | None = None
    moved_at: float = 0.0
    _front_sent: int = 0
    _sent_since: int = 0
    _fragments: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=MOST_MESSAGE_BYTES, logger=_protocol_log)
        self.heard_at = self.pinged_at = self.now

    # Receiving

    def receive(self, data: bytes) -> Iterator[str]:
        """Yield the text messages that are whole now. Answers of the protocol go into the buffer."""
        self.protocol.receive_data(data)
        for frame in self.protocol.events_received():
            if isinstance(frame, Frame) and frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                if frame.data:  # the protocol bounds the bytes of a message, and not the number of its empty frames
                    self._fragments.append(bytes(frame.data))
                if frame.fin:
                    text, self._fragments = b"".join(self._fragments), []
                    yield text.decode(errors="replace")
        self._take_answers()

    def say_close(self, code: int, reason: str) -> None:
        if self.protocol.state is State.OPEN:
            self.protocol.send_close(code, reason)
            self._take_answers()

    @property
    def is_gone(self) -> bool:
        """Whether nothing more may be sent to it: its end has begun."""
        return self.parting_until is not None

    @property
    def is_closing(self) -> bool:
        return self.protocol.state is not State.OPEN

    def _take_answers(self) -> None:
        for answer in self.protocol.data_to_send():
            if answer:
                self.queue(answer)

    # Sending

    def queue(self, data: bytes, cursor: LogCursor | None = None, seq: int = 0) -> None:
        """Put whole frames into the buffer. With a cursor they are its events up to `seq`."""
        if cursor is not None:
            cursor.queued = seq
        self.chunks.append(_Chunk(data, cursor, seq))
        self.buffered += len(data)

    def has_space_for(self, size: int) -> bool:
        """Whether so many bytes more leave the buffer within its bound. An empty buffer takes anything."""
        return not self.chunks or self.buffered + size <= BUFFER_BYTES

    @property
    def has_room(self) -> bool:
        """Whether it is time to read more for a peer that is behind."""
        return self.buffered < ROOM_BYTES

    def send_some(self, now: float) -> None:
        """Give the kernel what it takes. Raises BlockingIOError when it takes no more, OSError without a peer."""
        if self.behind_since is None:
            self.behind_since = self.moved_at = now
            self._sent_since = 0
        while self.chunks:
            buffers: list[bytes | memoryview] = [memoryview(self.chunks[0].data)[self._front_sent :]]
            buffers += [self.chunks[i].data for i in range(1, min(SENT_TOGETHER, len(self.chunks)))]
            sent = self.sock.sendmsg(buffers)
            self.moved_at = now
            self._sent_since += sent
            self._advance(sent)
        self.behind_since = None

    def _advance(self, sent: int) -> None:
        self.buffered -= sent
        self._front_sent += sent
        while self.chunks and self._front_sent >= len(self.chunks[0].data):
            chunk = self.chunks.popleft()
            self._front_sent -= len(chunk.data)
            if chunk.cursor is not None:
                chunk.cursor.sent = chunk.seq

    def is_too_slow(self, now: float, *, patience: float) -> bool:
        """Whether the peer has taken nothing for `patience` seconds, or too little for longer."""
        if self.behind_since is None:
            return False
        earned = self._sent_since / SLOWEST_READER
        return now - self.moved_at > patience or now - self.behind_since > patience + earned

    def drop_unsent(self) -> None:
        """Forget what has not begun to leave, and put its cursors back to what has."""
        kept = self.chunks.popleft() if self._front_sent else None
        for chunk in self.chunks:
            if chunk.cursor is not None:
                chunk.cursor.queued = chunk.cursor.sent
        self.chunks.clear()
        self.buffered = 0
        if kept is not None:
            self.buffered = len(kept.data) - self._front_sent
            self.chunks.append(kept)
            if kept.cursor is not None:
                kept.cursor.queued = kept.seq


def text_frame(json: bytes) -> bytes:
    """Return the JSON as a text message."""
    return frame_head(len(json)) + json


def frame_head(size: int) -> bytes:
    """Return the head of a server's text message (RFC 6455, section 5.2): final, not masked, not compressed."""
    if size < 126:
        return bytes((0x81, size))
    if size < 65_536:
        return pack("!BBH", 0x81, 126, size)
    return pack("!BBQ", 0x81, 127, size)

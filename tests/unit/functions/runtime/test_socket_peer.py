"""One WebSocket peer: a message and its buffer at their limits, and one byte beyond."""

from __future__ import annotations

import socket
import tracemalloc
from collections.abc import Iterator

import pytest
from websockets.frames import Frame, Opcode

from functions.runtime.socket_peer import BUFFER_BYTES, MOST_MESSAGE_BYTES, SocketPeer


class Silent:
    """An owner that has nothing to say."""

    def on_text(self, peer: SocketPeer, text: str) -> None: ...
    def on_room(self, peer: SocketPeer) -> None: ...
    def on_gone(self, peer: SocketPeer) -> None: ...
    def farewell(self, code: int, reason: str, retry_after_ms: int | None) -> bytes:  # noqa: ARG002  the owner's shape
        return b"{}"


@pytest.fixture
def peer() -> Iterator[SocketPeer]:
    near, far = socket.socketpair()
    with near, far:
        yield SocketPeer(near, Silent(), 0.0)


def message(size: int) -> bytes:
    return Frame(Opcode.TEXT, b"x" * size).serialize(mask=True)


def test_a_message_at_the_limit_and_one_byte_beyond(peer: SocketPeer) -> None:
    assert [len(text) for text in peer.receive(message(MOST_MESSAGE_BYTES))] == [MOST_MESSAGE_BYTES]
    assert not peer.is_closing
    assert list(peer.receive(message(MOST_MESSAGE_BYTES + 1))) == []
    assert peer.is_closing


def test_empty_frames_of_a_message_cost_no_memory(peer: SocketPeer) -> None:
    def frames(count: int, opcode: Opcode = Opcode.CONT, *, data: bytes = b"", fin: bool = False) -> bytes:
        return Frame(opcode, data, fin=fin).serialize(mask=True) * count

    assert list(peer.receive(frames(1, Opcode.TEXT, data=b"a") + frames(1000))) == []
    tracemalloc.start()
    try:
        for _ in range(20):
            assert list(peer.receive(frames(1000))) == []
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 20_000
    assert list(peer.receive(frames(1, data=b"b", fin=True))) == ["ab"]


def test_a_buffer_at_the_limit_and_one_byte_beyond(peer: SocketPeer) -> None:
    peer.queue(b"x")
    assert peer.has_space_for(BUFFER_BYTES - 1)
    assert not peer.has_space_for(BUFFER_BYTES)

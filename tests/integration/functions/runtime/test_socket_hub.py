"""The hub over real sockets of this machine: peers that fall silent, read too slowly, or break the protocol."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from functions.runtime.socket_hub import SocketHub
from functions.runtime.socket_peer import SocketPeer, text_frame
from schema.errors import Unavailable
from tests.integration.functions.conftest import wait_until

PING_SECONDS, PATIENCE = 0.6, 1.0


@dataclass
class Owner:
    """Keeps what the hub tells."""

    texts: list[str] = field(default_factory=list)
    ends: int = 0
    peer: SocketPeer | None = None

    def on_text(self, peer: SocketPeer, text: str) -> None:  # noqa: ARG002
        self.texts.append(text)

    def on_room(self, peer: SocketPeer) -> None:
        """Nothing more to send."""

    def on_gone(self, peer: SocketPeer) -> None:  # noqa: ARG002
        self.ends += 1

    def farewell(self, code: int, reason: str, retry_after_ms: int | None) -> bytes:
        return json.dumps({"code": code, "reason": reason, "retryAfterMs": retry_after_ms}).encode()


@pytest.fixture
def hub() -> Iterator[SocketHub]:
    hub = SocketHub(most=3, ping_seconds=PING_SECONDS, patience=PATIENCE)
    hub.start()
    yield hub
    hub.stop()


@contextmanager
def adopted(hub: SocketHub, owner: Owner) -> Iterator[socket.socket]:
    """The other end of a socket that the hub owns."""
    ours, theirs = socket.socketpair()
    slot = hub.take_slot()
    has_come = threading.Event()

    def adopt() -> None:
        owner.peer = hub.adopt(ours, owner, slot)
        has_come.set()

    hub.call(adopt)
    assert has_come.wait(5)
    with theirs:
        theirs.settimeout(10)
        yield theirs


def frames_until_end(sock: socket.socket, *, answering: bool) -> list[Frame]:
    """What comes until the hub closes; pings and Close are answered or not."""
    client = Protocol(Side.CLIENT, state=State.OPEN, max_size=None)
    frames: list[Frame] = []
    while received := sock.recv(65_536):
        client.receive_data(received)
        frames += [event for event in client.events_received() if isinstance(event, Frame)]
        answers = client.data_to_send()
        if answering:
            sock.sendall(b"".join(answers))
    return frames


def client_text(text: bytes) -> bytes:
    return Frame(Opcode.TEXT, text).serialize(mask=True)


def test_a_peer_that_answers_no_ping_is_dropped(hub: SocketHub) -> None:
    owner = Owner()
    with adopted(hub, owner) as peer:
        began = time.monotonic()
        frames = frames_until_end(peer, answering=False)
        took = time.monotonic() - began
    assert [frame.opcode for frame in frames] == [Opcode.PING]
    assert PING_SECONDS < took < 4 * PING_SECONDS + 1
    wait_until(lambda: hub.taken == 0)
    assert owner.ends == 1


def test_a_peer_that_answers_pings_stays(hub: SocketHub) -> None:
    owner = Owner()
    with adopted(hub, owner) as peer:
        reading = threading.Thread(target=frames_until_end, args=(peer,), kwargs={"answering": True})
        reading.start()
        until = time.monotonic() + 5 * PING_SECONDS
        wait_until(lambda: time.monotonic() > until)
        assert owner.ends == 0
        peer.sendall(client_text(b"still here"))
        wait_until(lambda: owner.texts == ["still here"])
        peer.shutdown(socket.SHUT_WR)
        reading.join(10)
    wait_until(lambda: owner.ends == 1)


def test_messages_in_fragments_are_put_together(hub: SocketHub) -> None:
    owner = Owner()
    with adopted(hub, owner) as peer:
        pieces = (Frame(Opcode.TEXT, "grü".encode()[:3], fin=False), Frame(Opcode.CONT, "grün".encode()[3:]))
        for piece in pieces:
            for byte in piece.serialize(mask=True):
                peer.sendall(bytes([byte]))
        wait_until(lambda: owner.texts == ["grün"])


@pytest.mark.parametrize(
    ("sent", "code"),
    [(b"\xff\xff", 1002), (Frame(Opcode.TEXT, b"x" * 70_000).serialize(mask=True), 1009)],
    ids=["nonsense", "too large"],
)
def test_a_peer_that_breaks_the_protocol_is_told_and_closed(hub: SocketHub, sent: bytes, code: int) -> None:
    owner = Owner()
    with adopted(hub, owner) as peer:
        peer.sendall(sent)
        frames = frames_until_end(peer, answering=True)
    assert int.from_bytes(frames[-1].data[:2], "big") == code
    wait_until(lambda: owner.ends == 1 and hub.taken == 0)


def test_a_reader_that_takes_a_little_all_the_time_is_too_slow_too(hub: SocketHub) -> None:
    """It takes a few kilobytes a second, so something moves within each patience."""
    owner = Owner()
    with adopted(hub, owner) as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        assert owner.peer is not None
        slow = owner.peer
        for _ in range(20):
            hub.call(lambda: hub.send(slow, text_frame(b"x" * 50_000)))
        began = time.monotonic()
        while owner.ends == 0 and time.monotonic() - began < 20:
            peer.recv(1000)
            waited = time.monotonic() + 0.1
            wait_until(lambda waited=waited: owner.ends > 0 or time.monotonic() > waited)  # type: ignore[misc]
        assert owner.ends == 1
        assert time.monotonic() - began > PATIENCE


def test_there_is_a_cap_and_a_place_is_free_again(hub: SocketHub) -> None:
    slots = [hub.take_slot() for _ in range(3)]
    with pytest.raises(Unavailable):
        hub.take_slot()
    slots[0].release()
    slots[0].release()
    hub.take_slot()
    with pytest.raises(Unavailable):
        hub.take_slot()


def test_a_hub_that_stops_tells_all_when_to_come_back_and_takes_no_more(hub: SocketHub) -> None:
    owner = Owner()
    with adopted(hub, owner) as peer:
        hub.end_all()
        frames = frames_until_end(peer, answering=True)
    said = json.loads(bytes(next(frame for frame in frames if frame.opcode is Opcode.TEXT).data))
    assert said["code"] == 1012
    assert said["retryAfterMs"] >= 0
    with pytest.raises(Unavailable):
        hub.take_slot()


class FaultyOwner(Owner):
    """Fails at each goodbye."""

    def farewell(self, code: int, reason: str, retry_after_ms: int | None) -> bytes:
        raise RuntimeError(code, reason, retry_after_ms)


def test_a_fault_with_one_peer_ends_that_peer_alone(hub: SocketHub) -> None:
    with adopted(hub, FaultyOwner()) as faulty, adopted(hub, Owner()) as peer:
        hub.end_all()
        assert frames_until_end(faulty, answering=True) == []
        frames = frames_until_end(peer, answering=True)
    assert json.loads(bytes(frames[0].data))["code"] == 1012
    wait_until(lambda: hub.taken == 0)

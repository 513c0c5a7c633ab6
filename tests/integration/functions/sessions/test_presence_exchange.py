"""A process's part of the shared presence is what it shows, also after a call to the database that failed."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.errors import UndefinedTable

from functions.runtime.database import OneConnection
from functions.runtime.socket_hub import SocketHub
from functions.runtime.socket_peer import BUFFER_BYTES, SocketPeer
from functions.sessions.presence import PresentReaders
from functions.sessions.presence_exchange import PresenceExchange
from functions.sessions.socket_frames import PresentUser
from handlers.access.permissions import Actor
from handlers.sessions.presence import PresentReader
from tests.integration.functions.runtime.test_socket_hub import Owner


@pytest.fixture
def readers() -> PresentReaders:
    return PresentReaders(SocketHub(most=3))


@pytest.fixture
def exchange(database: str, readers: PresentReaders) -> Iterator[PresenceExchange]:
    connection = OneConnection(database)
    yield PresenceExchange(SocketHub(most=3), readers, connection)
    connection.close()


@pytest.fixture
def peer() -> Iterator[SocketPeer]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield SocketPeer(ours, Owner(), time.monotonic())


def actor(name: str, user_id: UUID | None = None) -> Actor:
    return Actor(user_id=user_id or uuid4(), name=name, role="member")


def stored(conn: psycopg.Connection) -> set[PresentReader]:
    return {(row[0], row[1]) for row in conn.execute("SELECT session_id, user_id FROM session_readers")}


def test_a_user_with_a_new_name_stays_until_the_last_tab_closes(
    conn: psycopg.Connection, readers: PresentReaders, exchange: PresenceExchange, peer: SocketPeer
) -> None:
    session_id, ann = uuid4(), actor("ann")
    readers.enter(session_id, ann, peer, gets_presence=False)
    renamed = actor("anna", ann.user_id)
    readers.enter(session_id, renamed, peer, gets_presence=False)

    readers.leave(session_id, ann, peer)
    exchange.run_once()
    assert stored(conn) == {(session_id, ann.user_id)}

    readers.leave(session_id, renamed, peer)
    exchange.run_once()
    assert stored(conn) == set()


def test_a_failed_call_leaves_no_reader_behind(
    conn: psycopg.Connection, readers: PresentReaders, exchange: PresenceExchange, peer: SocketPeer
) -> None:
    """The failed call may have written readers although its answer was lost."""
    session_id, ann, gone = uuid4(), actor("ann"), (uuid4(), uuid4())
    readers.enter(session_id, ann, peer, gets_presence=False)
    exchange.run_once()
    conn.execute(
        "INSERT INTO session_readers (session_id, user_id, process_id) SELECT %s, %s, process_id FROM session_readers",
        gone,
    )
    bob = actor("bob")
    readers.enter(session_id, bob, peer, gets_presence=False)
    conn.execute("ALTER TABLE session_readers RENAME TO away")
    with pytest.raises(UndefinedTable):
        exchange.run_once()
    conn.execute("ALTER TABLE away RENAME TO session_readers")

    exchange.run_once()

    assert stored(conn) == {(session_id, ann.user_id), (session_id, bob.user_id)}


@dataclass
class Leaving(Owner):
    """An owner that leaves its room when its peer has gone, as a subscription does."""

    leave: Callable[[], None] = lambda: None

    def on_gone(self, peer: SocketPeer) -> None:
        super().on_gone(peer)
        self.leave()


def test_a_reader_that_is_too_slow_keeps_no_other_room_from_being_shown() -> None:
    hub = SocketHub(most=3)
    readers = PresentReaders(hub)
    slow_room, room, ann, bob = uuid4(), uuid4(), actor("ann"), actor("bob")
    (ours, theirs), (near, far) = socket.socketpair(), socket.socketpair()
    with ours, theirs, near, far:
        leaving = Leaving()
        slow, quick = SocketPeer(ours, leaving, time.monotonic()), SocketPeer(near, Owner(), time.monotonic())
        readers.enter(slow_room, ann, slow, gets_presence=True)
        readers.enter(room, bob, quick, gets_presence=True)
        leaving.leave = lambda: readers.leave(slow_room, ann, slow)
        slow.queue(b"x" * BUFFER_BYTES)
        far.settimeout(10)
        far.recv(65_536)

        eve = frozenset({PresentUser(user_id=uuid4(), name="eve")})
        readers.show_elsewhere({slow_room: eve, room: eve})

        assert b'"eve"' in far.recv(65_536)
        assert leaving.ends == 1
        assert readers.present() == {(room, bob.user_id)}

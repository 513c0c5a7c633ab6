"""A TCP proxy of ours that hurts connections: cuts, slices, slows, freezes them half open, holds them at a point.

Real sockets; two threads a connection. What matches is looked for in the bytes as they pass, over the edges of packets.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

CHUNK = 65_536
COMMITTED = b"Z\x00\x00\x00\x05I"
"""PostgreSQL's ReadyForQuery outside of a transaction: what was sent before has been committed, or rolled back."""
Address = tuple[str, int] | Path


@dataclass
class Hold:
    """Stops the first connection on which `after` was sent by the client and then `at` comes by on its side.

    `at` and all behind it wait until `release` (they go on) or `drop` (they never arrive, both sides are cut).
    """

    at: bytes
    after: bytes = b""
    from_server: bool = False
    caught: threading.Event = field(default_factory=threading.Event)
    decided: threading.Event = field(default_factory=threading.Event)
    dropped: bool = False

    def wait(self, seconds: float = 60) -> None:
        """Until a connection is held."""
        assert self.caught.wait(seconds), f"nothing came to the point {self.at!r} after {self.after!r}"

    def release(self) -> None:
        self.decided.set()

    def drop(self) -> None:
        self.dropped = True
        self.decided.set()


class Connection:
    """One client and its own way to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.first = b""
        """What the client said first: it tells one kind of client from another."""
        self.frozen = threading.Event()
        self.let_go = threading.Event()
        self.recent = {False: b"", True: b""}
        self.has_said: set[bytes] = set()

    def cut(self) -> None:
        """Both sides see a reset."""
        self.let_go.set()
        for side in (self.client, self.server):
            with suppress(OSError):
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                side.shutdown(socket.SHUT_RDWR)
            side.close()


class Proxy:
    """Listens on loopback (or another address of ours) for one server until it is closed. `slice_bytes` and
    `delay_seconds` are for each piece; `window_bytes` bounds what the kernel takes from the server before we read it
    (0: as it likes)."""

    def __init__(self, target: Address, *, window_bytes: int = 0, host: str = "127.0.0.1", port: int = 0) -> None:
        self._target = target
        self._window_bytes = window_bytes
        self._listener = socket.create_server((host, port), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.slice_bytes = CHUNK
        self.delay_seconds = 0.0
        self.refusing = False
        self._flowing = threading.Event()
        self._flowing.set()
        self._open: set[Connection] = set()
        self._holds: list[Hold] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        return len(self._open)

    @property
    def ports_to_server(self) -> set[int]:
        """What the server sees as the ports of its peers."""
        return {one.server.getsockname()[1] for one in list(self._open)}

    def cut(self) -> None:
        """All that is connected now."""
        for connection in list(self._open):
            connection.cut()

    def freeze(self, first: bytes = b"") -> int:
        """Half-open: those whose client said this first stay connected and hear nothing more; how many they are."""
        found = [one for one in list(self._open) if first in one.first]
        for one in found:
            one.frozen.set()
        return len(found)

    def stall(self) -> None:
        """Nothing is read from the server any more, as by a peer that has stopped reading; until `heal`."""
        self._flowing.clear()

    def hold(self, at: bytes, *, after: bytes = b"", from_server: bool = False) -> Hold:
        """From now on; it catches one connection."""
        hold = Hold(at, after, from_server)
        with self._lock:
            self._holds.append(hold)
        return hold

    def heal(self) -> None:
        """Nothing is hurt from now on; what is held goes on."""
        self.refusing, self.delay_seconds, self.slice_bytes = False, 0.0, CHUNK
        self._flowing.set()
        for connection in [one for one in list(self._open) if one.frozen.is_set()]:
            connection.cut()
        for hold in self._holds:
            hold.caught.set()
            hold.release()
        self._holds.clear()

    def close(self) -> None:
        self._flowing.set()
        for hold in self._holds:
            hold.drop()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            if self.refusing:
                raise ConnectionRefusedError
            server = connect(self._target, window_bytes=self._window_bytes)
        except OSError:
            Connection(client, client).cut()
            return
        connection = Connection(client, server)
        with self._lock:
            self._open.add(connection)
        back = threading.Thread(target=self._pass, args=(connection,), kwargs={"from_server": True}, daemon=True)
        back.start()
        self._pass(connection, from_server=False)
        back.join()
        connection.client.close()
        connection.server.close()
        with self._lock:
            self._open.discard(connection)

    def _pass(self, connection: Connection, *, from_server: bool) -> None:
        here, there = connection.client, connection.server
        if from_server:
            here, there = there, here
        with suppress(OSError):  # a reset by one side is the end for the other, too
            while data := here.recv(CHUNK):
                if connection.frozen.is_set():
                    break
                if not from_server and len(connection.first) < 1024:
                    connection.first += data[:1024]
                self._stop_at_holds(connection, data, from_server=from_server)
                if from_server:
                    self._flowing.wait()
                self._send(there, data)
        if connection.frozen.is_set():
            connection.let_go.wait()
        with suppress(OSError):
            there.shutdown(socket.SHUT_WR)

    def _send(self, there: socket.socket, data: bytes) -> None:
        for start in range(0, len(data), self.slice_bytes):
            if self.delay_seconds:
                time.sleep(self.delay_seconds)
            there.sendall(data[start : start + self.slice_bytes])

    def _stop_at_holds(self, connection: Connection, data: bytes, *, from_server: bool) -> None:
        seen = connection.recent[from_server] + data
        for hold in [hold for hold in self._holds if not hold.caught.is_set()]:
            if hold.after and hold.after not in connection.has_said:
                _, found, seen_since = seen.partition(hold.after)
                if from_server or not found:
                    continue
                connection.has_said.add(hold.after)
                connection.recent[True] = b""
                seen = seen_since
            if hold.from_server == from_server and hold.at in seen:
                self._catch(hold, connection)
        connection.recent[from_server] = seen[-256:]

    def _catch(self, hold: Hold, connection: Connection) -> None:
        with self._lock:
            if hold.caught.is_set():
                return
            hold.caught.set()
        hold.decided.wait()
        if hold.dropped:
            connection.cut()
            raise ConnectionResetError


def connect(target: Address, *, window_bytes: int) -> socket.socket:
    server = socket.socket(socket.AF_INET if isinstance(target, tuple) else socket.AF_UNIX)
    if window_bytes:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window_bytes)
    server.connect(target if isinstance(target, tuple) else str(target))
    return server


@contextmanager
def proxy_to(host: str, port: int, *, window_bytes: int = 0) -> Iterator[Proxy]:
    proxy = Proxy((host, port), window_bytes=window_bytes)
    try:
        yield proxy
    finally:
        proxy.close()


@contextmanager
def proxy_to_postgres(dsn: str) -> Iterator[tuple[Proxy, str]]:
    """The proxy, and the DSN that leads through it."""
    known = conninfo_to_dict(dsn)
    host, port = str(known["host"]), int(known.get("port") or 5432)
    proxy = Proxy(Path(host) / f".s.PGSQL.{port}" if host.startswith("/") else (host, port))
    try:
        yield proxy, make_conninfo(dsn, host="127.0.0.1", port=proxy.port, sslmode="disable", gssencmode="disable")
    finally:
        proxy.close()

"""Readers of logs as clients have them: WebSockets, server-sent events, and peers that stop reading."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from schema.wire import Json
from tests.integration.functions.conftest import Driver, Served


@contextmanager
def opened(served: Served, driver: Driver, **query: object) -> Iterator[ClientConnection]:
    url = served.socket_url(driver.session_id, **query)
    with connect(url, additional_headers=served.headers, max_size=None) as ws:
        yield ws


def next_message(ws: ClientConnection, seconds: float = 10) -> Json:
    message: Json = json.loads(ws.recv(timeout=seconds))
    return message


def seqs_up_to(ws: ClientConnection, last: int) -> list[int]:
    """The numbers of the events that come, until one is the last."""
    seen: list[int] = []
    while not seen or seen[-1] < last:
        message = next_message(ws)
        assert message["kind"] == "event"
        seen.append(message["seq"])
    return seen


def sse_events(response: httpx.Response) -> Iterator[tuple[int, str, Json]]:
    """(id, event, data) of each event of the stream."""
    found: dict[str, str] = {}
    for line in response.iter_lines():
        if line == "" and "data" in found:
            yield int(found["id"]), found["event"], json.loads(found["data"])
        if line == "":
            found = {}
        else:
            name, _, value = line.partition(": ")
            found[name] = value


def report_many(driver: Driver, count: int, *, batch: int = 50) -> None:
    for _ in range(count // batch):
        assert driver.report(*[driver.delta("x") for _ in range(batch)])[0] == 200


def can_connect(served: Served, driver: Driver) -> bool:
    try:
        with opened(served, driver):
            return True
    except InvalidStatus:
        return False


def can_stream(served: Served, driver: Driver) -> bool:
    with served.client() as client, client.stream("GET", f"/api/runs/{driver.run_id}/stream") as response:
        return response.status_code == 200


def threads_of(served: Served) -> int:
    """The threads of the process that serves, which is gunicorn's only child."""
    [worker] = psutil.Process(served.process.pid).children()
    return worker.num_threads()


@contextmanager
def silent_peer(served: Served, driver: Driver, *, path: str | None = None) -> Iterator[socket.socket]:
    """A socket that has upgraded, to the driver's session unless another path is given, and reads no more."""
    path = path or f"/api/sessions/{driver.session_id}/ws?after=0"
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", served.port))
        peer.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {served.token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert b"101" in peer.recv(30)
        yield peer


def is_cut(peer: socket.socket) -> bool:
    """Whether the other side has gone, without reading: writing to it fails."""
    try:
        peer.send(b"\x8a\x80\0\0\0\0")  # a pong
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False

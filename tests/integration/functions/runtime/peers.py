"""Peers of a server by bare sockets: they send what they like, when they like."""

from __future__ import annotations

import json
import select
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPResponse

import psutil

from schema.wire import Json
from tests.integration.functions.conftest import Served

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
CALLBACKS = "/api/runs/00000000-0000-4000-8000-000000000000/callbacks"


def head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


HALF_HEAD = b"GET /health HTTP/1.1\r\nHos"
HALF_BODY = head("POST", CALLBACKS, "Content-Length: 1000") + b"{"
HALF_CHUNKED = head("POST", CALLBACKS, "Transfer-Encoding: chunked") + b"3e8\r\n{"
HALF_TRAILER = head("POST", CALLBACKS, "Transfer-Encoding: chunked") + b"1\r\n{\r\n0\r\nDigest: "
HALVES = (HALF_HEAD, HALF_BODY, HALF_CHUNKED, HALF_TRAILER)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        parsed: Json = json.loads(self.body)
        return parsed

    @property
    def code(self) -> object:
        assert self.headers["content-type"] == "application/problem+json"
        return self.json["code"]


class RawPeer:
    """One connection. It is closed with its block."""

    def __init__(self, port: int, *first: bytes, receives: int | None = None) -> None:
        """`receives` bounds what the kernel takes for it, in bytes."""
        self.sock = socket.socket()
        self.sock.settimeout(20)
        if receives is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        self.sock.connect(("127.0.0.1", port))
        self._stream = self.sock.makefile("rb")
        for piece in first:
            self.send(piece)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer(self) -> Answer:
        """The next answer, interim ones included."""
        response = HTTPResponse(self.sock)
        response.fp.close()
        response.fp = Unclosed(self._stream)  # type: ignore[assignment]
        response.begin()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def ask(self, request: bytes) -> Answer:
        self.send(request)
        return self.answer()

    def line(self) -> bytes:
        return self._stream.readline()

    def is_closed(self) -> bool:
        """Waits for the server to close."""
        try:
            return self._stream.read(1) == b""
        except ConnectionResetError:
            return True

    def received(self) -> bytes:
        """What the server sends until it closes."""
        pieces = []
        with suppress(ConnectionResetError):
            while piece := self.sock.recv(65_536):
                pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        self._stream.close()
        self.sock.close()

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def drip_until_answered(peers: list[RawPeer], *, every: float) -> None:
    """A byte from each now and then, until the server has said something to all. `every` is in seconds."""
    left = {peer.sock: peer for peer in peers}
    deadline = time.monotonic() + 30
    while left:
        assert time.monotonic() < deadline, f"{len(left)} peers were not answered"
        for sock in select.select(list(left), [], [], every)[0]:
            del left[sock]
        for peer in left.values():
            peer.send(b"x")


def connected_ports(served: Served) -> set[object]:
    """Of the peers that the server has a connection with."""
    (worker,) = psutil.Process(served.process.pid).children()
    return {port for each in worker.net_connections() for port in tuple(each.raddr)[1:]}


class Unclosed:
    """A stream that HTTPResponse cannot close behind an answer: the next one comes from it too."""

    def __init__(self, stream: object) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def close(self) -> None:
        pass

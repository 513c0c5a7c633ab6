"""Readers of logs, each in a thread of its own: they keep the numbers of what they got until they leave."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import ExitStack, suppress
from typing import Protocol
from uuid import UUID

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.integration.functions.conftest import Served


class Reader(Protocol):
    """`seqs` are the numbers that came, `after` is the cursor it began with; `has_ended`: the server said its last."""

    after: int
    seqs: list[int]
    has_ended: bool

    def leave(self, *, rudely: bool) -> None:
        """Stop reading, with a goodbye or without. `seqs` changes no more."""
        ...


class SocketReader:
    """Reads a session's log over a WebSocket."""

    def __init__(self, served: Served, session_id: UUID, after: int) -> None:
        self.after = after
        self.seqs: list[int] = []
        self.has_ended = False
        url = served.socket_url(session_id, after=after)
        self._opened = ExitStack()
        self._ws = self._opened.enter_context(connect(url, additional_headers=served.headers, max_size=None))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def leave(self, *, rudely: bool) -> None:
        if rudely:
            _cut(self._ws.socket)
        self._opened.close()
        self._thread.join(10)

    def _read(self) -> None:
        with suppress(ConnectionClosed):
            for text in self._ws:
                message = json.loads(text)
                if message["kind"] == "event":
                    self.seqs.append(message["seq"])
                self.has_ended = message["kind"] == "closing"


class StreamReader:
    """Reads one run's part of a log as server-sent events, until it ends."""

    def __init__(self, served: Served, run_id: UUID, after: int) -> None:
        self.after = after
        self.seqs: list[int] = []
        self.has_ended = False
        self._leaving = threading.Event()
        self._client = httpx.Client(headers=served.headers, timeout=httpx.Timeout(10, read=60), trust_env=False)
        request = self._client.build_request("GET", f"{served.url}/api/runs/{run_id}/stream?cursor={after}")
        self._response = self._client.send(request, stream=True)
        assert self._response.status_code in (200, 204), self._response.read()  # 204: nothing is left to read
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def leave(self, *, rudely: bool) -> None:  # noqa: ARG002  there is no goodbye in HTTP
        self._leaving.set()
        with suppress(OSError):
            _cut(self._response.extensions["network_stream"].get_extra_info("socket"))
        self._thread.join(10)
        self._client.close()

    def _read(self) -> None:
        with suppress(httpx.TransportError):
            for line in self._response.iter_lines():
                if line.startswith("id: "):
                    self.seqs.append(int(line[4:]))
            self.has_ended = not self._leaving.is_set()


def _cut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)

"""A small HTTP server of objects in memory, whose links look like pre-signed ones; it can be told to misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

Hurt = Callable[[str, str], int | None]
"""(method, key) -> a status to answer with instead, 0 to cut the connection, or None."""


class Objects:
    """`stored` are the objects by key; `calls` (method, key) in their order."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.calls: list[tuple[str, str]] = []
        self.hurt: Hurt = lambda _method, _key: None
        self.refusal = "no"
        """The body of an answer by which it refuses."""
        self.pause_seconds = 0.0
        self.bytes_a_second = 0
        """How fast it takes what is put; 0: at once."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def link(self, method: str, key: str, **_about: object) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{key}?signature={method}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count(self, method: str) -> int:
        return sum(called == method for called, _ in self.calls)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        class Handler(_Handler):
            objects = self

        return Handler


class _Handler(BaseHTTPRequestHandler):
    objects: ClassVar[Objects]
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        return

    def do_PUT(self) -> None:
        data = self._read(int(self.headers["content-length"]))
        if self._is_fine("PUT"):
            self.objects.stored[self._key()] = data
            self._answer(200, b"")

    def do_GET(self) -> None:
        if self._is_fine("GET"):
            data = self.objects.stored.get(self._key())
            self._answer(404 if data is None else 200, data or b"")

    def _read(self, size: int) -> bytes:
        rate, data = self.objects.bytes_a_second, bytearray()
        while rate and len(data) < size:
            data += self.rfile.read(min(1 << 16, size - len(data)))
            time.sleep((1 << 16) / rate)
        return bytes(data) or self.rfile.read(size)

    def _key(self) -> str:
        return self.path[1:].partition("?")[0]

    def _is_fine(self, method: str) -> bool:
        self.objects.calls.append((method, self._key()))
        if self.objects.pause_seconds:
            time.sleep(self.objects.pause_seconds)
        status = self.objects.hurt(method, self._key())
        if status == 0:
            self.close_connection = True
            self.connection.close()
        elif status is not None or not self.path.endswith(f"?signature={method}"):
            self._answer(status or 403, self.objects.refusal.encode())
        else:
            return True
        return False

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

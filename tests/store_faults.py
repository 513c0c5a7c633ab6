"""A way to an object store that can be hurt: an HTTP proxy of ours that refuses, delays, fails and cuts requests.

Real sockets, a thread a connection. It passes heads and bodies on as they are (Host included, so that signatures hold).
For what hurts below HTTP, tests/proxy.py does it for any server.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PIECE = 65_536
REASONS = {501: "NotImplemented", 500: "InternalError", 503: "SlowDown", 507: "StorageFull", 403: "AccessDenied"}


@dataclass
class Fault:
    """What is done to those requests that it is for, from the `skip`-th on, `times` times (None: until healed)."""

    method: str = ""
    part_of_key: str = ""
    header: str = ""
    """Only for requests with this header."""
    skip: int = 0
    times: int | None = 1
    without_header: str = ""
    """It is for requests that lack this header alone."""
    status: int | None = None
    """Answered instead of the store, after the whole body was taken."""
    code: str = ""
    """The store's code in that answer; by default the one that goes with the status."""
    answer_header: tuple[str, str] | None = None
    """A header that the store's own answer gets, in place of its own of that name."""
    cut_request_after: int | None = None
    """The connection is reset after that many bytes of the body were passed to the store."""
    cut_answer_after: int | None = None
    """It is reset after that many bytes of the answer's body were passed to the client."""
    lose_answer: bool = False
    """The store does it, and nobody hears of it."""
    hold: threading.Event | None = None
    """The request waits until this is set."""
    met: threading.Event = field(default_factory=threading.Event)

    def is_for(self, method: str, path: str, headers: Collection[str]) -> bool:
        is_asked = method.startswith(self.method) and self.part_of_key in path
        has_header = not self.header or self.header in headers
        return is_asked and has_header and not (self.without_header and self.without_header in headers)


class HurtStore:
    """Listens on loopback until it is closed. `requests` are all that came by: (method, path without its query)."""

    def __init__(self, target: str) -> None:
        place = urlsplit(target)
        self._target = (str(place.hostname), place.port or 80)
        self.requests: list[tuple[str, str]] = []
        self.delay_seconds = 0.0
        self.is_down = False
        self.date: str | None = None
        """What its answers say as their time, instead of the store's own."""
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        handler = type("Bound", (_Handler,), {"way": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name="hurt-store", daemon=True).start()

    def hurt(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def fail(self, *, status: int = 503, method: str = "", skip: int = 0, times: int | None = 1) -> Fault:
        """The (skip + 1)-th request of that method and those after it, `times` in all, are answered so."""
        return self.hurt(Fault(method=method, skip=skip, times=times, status=status))

    def know_no_conditions(self) -> Fault:
        """Refuse conditional writes until it is healed, as stores do that do not support them."""
        return self.hurt(Fault(method="PUT", header="if-none-match", status=501, times=None))

    def fill_up(self) -> Fault:
        """No space is left: every PUT fails until it is healed."""
        return self.fail(status=507, method="PUT", times=None)

    def heal(self) -> None:
        self.is_down, self.delay_seconds = False, 0.0
        with self._lock:
            healed, self._faults = self._faults, []
        for fault in healed:
            if fault.hold is not None:
                fault.hold.set()

    def close(self) -> None:
        self.heal()
        self._server.shutdown()
        self._server.server_close()

    def fault_of(self, method: str, path: str, headers: Collection[str]) -> Fault | None:
        with self._lock:
            self.requests.append((method, path))
            for fault in self._faults:
                if not fault.is_for(method, path, headers):
                    continue
                if fault.skip:
                    fault.skip -= 1
                elif fault.times is None or fault.times > 0:
                    fault.times = None if fault.times is None else fault.times - 1
                    fault.met.set()
                    return fault
        return None

    def connect(self) -> HTTPConnection:
        return HTTPConnection(*self._target, timeout=60)


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client, and one to the store for each request on it."""

    way: HurtStore
    protocol_version = "HTTP/1.1"
    wbufsize = PIECE

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's own name
        """Nothing: the addresses are links."""

    def handle_expect_100(self) -> bool:
        """The body is always taken."""
        return super().handle_expect_100()

    def _header_names(self) -> set[str]:
        return {name.lower() for name in self.headers}

    def _pass_on(self) -> None:
        if self.way.is_down:
            self._reset()
            return
        fault = self.way.fault_of(self.command, urlsplit(self.path).path, self._header_names()) or Fault()
        time.sleep(self.way.delay_seconds)
        if fault.hold is not None:
            fault.hold.wait(60)
        try:
            if fault.status is not None:
                self._take(lambda _piece: None)
                self._say(fault.status, fault.code)
            else:
                self._ask_store(fault)
        except (_Cut, OSError):
            self._reset()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

    def _ask_store(self, fault: Fault) -> None:
        store = self.way.connect()
        try:
            store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in {"connection", "expect"}:
                    store.putheader(name, value)
            store.endheaders()
            self._take(_counted(store.send, fault.cut_request_after))
            answer = store.getresponse()
            if fault.lose_answer:
                raise _Cut
            self._give(answer, fault)
        finally:
            store.close()

    def _take(self, use: Callable[[bytes], None]) -> None:
        left = int(self.headers.get("content-length") or 0)
        while left:
            piece = self.rfile.read1(min(PIECE, left))
            if not piece:
                raise _Cut
            left -= len(piece)
            use(piece)

    def _give(self, answer: HTTPResponse, fault: Fault) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if fault.answer_header is not None and name.lower() == fault.answer_header[0].lower():
                continue
            if name.lower() == "date" and self.way.date is not None:
                self.send_header(name, self.way.date)
            elif name.lower() not in {"connection", "transfer-encoding"}:
                self.send_header(name, value)
        if fault.answer_header is not None:
            self.send_header(*fault.answer_header)
        if answer.length is None and self.command != "HEAD":  # it came in chunks; here its end is the connection's
            self.send_header("connection", "close")
        self.end_headers()
        write = _counted(self._write_through, fault.cut_answer_after)
        while self.command != "HEAD" and (piece := answer.read(PIECE)):
            write(piece)
        self.wfile.flush()

    def _write_through(self, piece: bytes) -> None:
        self.wfile.write(piece)
        self.wfile.flush()

    def _say(self, status: int, code: str) -> None:
        body = (
            f"<Error><Code>{code or REASONS.get(status, 'Failed')}</Code><Message>a fault of the test</Message></Error>"
        )
        self.send_response_only(status)
        self.send_header("content-type", "application/xml")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())
        self.wfile.flush()

    def _reset(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RDWR)


class _Cut(Exception):
    """The connection is to be reset here."""


def _counted(use: Callable[[bytes], None], limit: int | None) -> Callable[[bytes], None]:
    """The same, but for the first `limit` bytes only; then the cut."""
    used = 0

    def count(piece: bytes) -> None:
        nonlocal used
        kept = piece if limit is None else piece[: max(0, limit - used)]
        if kept:
            use(kept)
        used += len(kept)
        if len(kept) < len(piece) or (limit is not None and used >= limit):
            raise _Cut

    return count

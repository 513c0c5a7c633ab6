"""A real HTTP server that speaks the executor's contract and can be told to fail, as a well executor never does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from schema.wire import Json

TOKEN = "the-stand-ins-token-0123456789"


@dataclass(frozen=True)
class Reply:
    """`seconds` is how long it takes to come, `meanwhile` what happens before; a status of 0 closes the connection."""

    status: int
    body: Json = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0
    meanwhile: Callable[[], object] = int


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: Mapping[str, str]
    body: Json


class StandIn:
    """Answers well unless `fail` says otherwise; `seen` are the calls in their order. `also` answers what it knows."""

    def __init__(self, also: Callable[[Seen], Reply | None] = lambda _seen: None) -> None:
        self.seen: list[Seen] = []
        self._also = also
        self._planned: list[Reply] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def fail(self, *replies: Reply) -> None:
        """The next calls, /health and /callbacks excepted, get these."""
        with self._lock:
            self._planned.extend(replies)

    def forgive(self) -> None:
        """The next calls are answered well again."""
        with self._lock:
            self._planned.clear()

    def reply_to(self, seen: Seen) -> Reply:
        with self._lock:
            if seen.path not in ("/health", "/callbacks"):
                self.seen.append(seen)
                if self._planned:
                    return self._planned.pop(0)
        return self._also(seen) or _well(seen)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _well(seen: Seen) -> Reply:
    state = {"runId": str(seen.body.get("runId", uuid4())), "attempt": 1, "claim": 1}
    match (seen.method, urlsplit(seen.path).path.split("/")[1:]):
        case "GET", ["health"]:
            health = {"sessionId": str(uuid4()), "epoch": 1, "runtimeVersion": "0", "runs": 0, "spooled": 0}
            return Reply(200, health)
        case "POST", ["workspace", "validate"]:
            return Reply(200, {"ok": True, "missing": [], "found": {}})
        case "GET", ["callbacks"]:
            return Reply(200, {"items": []})
        case "GET", ["runs", _]:
            return Reply(404, {"code": "not_found"})
        case "DELETE", ["runs", _]:
            return Reply(202, {**state, "state": "refused"})
        case _:
            return Reply(202, {**state, "state": "starting"})


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # as a real executor: head and body go in two writes

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", "0")))
            body: dict[str, Any] = json.loads(raw) if raw else {}
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = stand_in.reply_to(Seen(self.command, self.path, headers, body))
            reply.meanwhile()
            time.sleep(reply.seconds)
            if reply.status == 0:
                self.close_connection = True
                return
            content = json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {**reply.headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _serve

        def log_message(self, *_arguments: object) -> None:
            """Not among the tests' output."""

    return Handler

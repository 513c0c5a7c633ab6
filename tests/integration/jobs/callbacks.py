"""The callback route alone, as a real HTTP server: signatures are checked, the verb is called, its outcome answered."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID

import psycopg

from handlers.callbacks.receive import CallbackPolicy, callback_keys, receive_callback
from handlers.runs.settle import RetryPolicy
from schema.errors import BadSignature, Conflict, RunyardError
from schema.executor_api import CallbackBody
from schema.signature import is_signed

POLICY = CallbackPolicy(lease_seconds=60, retry=RetryPolicy(delay_seconds=0))


class CallbackServer:
    """Listens on loopback until it is closed."""

    def __init__(self, dsn: str, secret: bytes, policy: CallbackPolicy = POLICY) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(dsn, secret, policy))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(dsn: str, secret: bytes, policy: CallbackPolicy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            run_id = UUID(self.path.split("/")[3])
            raw = self.rfile.read(int(self.headers["content-length"]))
            try:
                self._answer(200, self._receive(run_id, raw))
            except Conflict as error:
                self._answer(409, {"code": error.problem_code, **error.members})
            except RunyardError as error:
                self._answer(422, {"code": error.problem_code, "detail": error.detail})

        def _receive(self, run_id: UUID, raw: bytes) -> dict[str, object]:
            body = CallbackBody.model_validate_json(raw)
            with psycopg.connect(dsn) as conn:
                keys = callback_keys(conn, [secret], run_id=run_id, attempt=body.attempt)
                if not is_signed(keys, raw, {name.lower(): value for name, value in self.headers.items()}):
                    raise BadSignature
                return receive_callback(conn, run_id, body, policy=policy).to_json()

        def _answer(self, status: int, body: dict[str, object]) -> None:
            content = json.dumps(body, default=str).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json" if status == 200 else "application/problem+json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            """Not among the tests' output."""

    return Handler

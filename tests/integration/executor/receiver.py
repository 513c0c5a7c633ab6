"""A control plane's callback address in small: a real HTTP server that keeps the log as the API does, verifies
signatures, and can be told to misbehave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

from schema.executor_api import CallbackBody
from schema.signature import callback_key, is_signed

SECRET = b"the receiver's own secret, 32 bytes"
Event = dict[str, Any]


@dataclass(frozen=True)
class Answering:
    """What it says to every call instead of storing it."""

    status: int
    body: dict[str, object] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    hangs_up: bool = False
    hangs: bool = False


class Receiver:
    """Listens from the start. `events` of a run are in the order stored."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._events: dict[tuple[str, int], list[Event]] = {}
        self._answering: Answering | None = None
        self.stop_requested = False
        self.calls: list[tuple[float, CallbackBody]] = []
        self.unsigned = 0
        self.headers: list[dict[str, str]] = []
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def callback(self, run_id: UUID, attempt: int = 1) -> dict[str, str]:
        key = callback_key(SECRET, run_id=run_id, attempt=attempt, generation=1)
        return {"url": f"http://127.0.0.1:{self._server.server_port}/api/runs/{run_id}/callbacks", "key": key}

    def answer(self, answering: Answering | None) -> None:
        """From now on; None is a well control plane."""
        with self._changed:
            self._answering = answering

    def events(self, run_id: UUID, attempt: int = 1) -> list[Event]:
        with self._changed:
            return list(self._events.get((str(run_id), attempt), []))

    def types(self, run_id: UUID, attempt: int = 1) -> list[str]:
        return [event["type"] for event in self.events(run_id, attempt)]

    def wait_for(self, is_met: Callable[[], bool], seconds: float = 15) -> None:
        deadline = time.monotonic() + seconds
        with self._changed:
            while not is_met():
                assert self._changed.wait(min(deadline - time.monotonic(), 0.25)) or time.monotonic() < deadline, (
                    f"not met within {seconds} s; stored: {self._events}"
                )

    def wait_for_event(self, run_id: UUID, type_: str, attempt: int = 1, seconds: float = 15) -> Event:
        self.wait_for(lambda: type_ in self.types(run_id, attempt), seconds)
        return next(event for event in self.events(run_id, attempt) if event["type"] == type_)

    def take(self, run_id: str, body: bytes, headers: dict[str, str]) -> Answering:
        with self._changed:
            answering = self._take(run_id, body, headers)
            self._changed.notify_all()
        if answering.hangs:
            self._closing.wait()
        return answering

    def _take(self, run_id: str, body: bytes, headers: dict[str, str]) -> Answering:
        self.headers.append(headers)
        call = CallbackBody.model_validate_json(body)
        key = callback_key(SECRET, run_id=UUID(run_id), attempt=call.attempt, generation=1)
        if not is_signed([key], body, headers):
            self.unsigned += 1
            return Answering(401, {"code": "bad_signature"})
        self.calls.append((time.monotonic(), call))
        return self._answering or self._store(run_id, call, json.loads(body)["events"])

    def _store(self, run_id: str, call: CallbackBody, events: list[Event]) -> Answering:
        stored = self._events.setdefault((run_id, call.attempt), [])
        if [event["n"] for event in events] != [*range(events[0]["n"], events[-1]["n"] + 1)] if events else False:
            return Answering(422, {"detail": "a batch with a hole"})
        if events and events[0]["n"] > len(stored) + 1:
            return Answering(409, {"code": "gap", "expected": len(stored) + 1})
        if any(stored[event["n"] - 1]["id"] != event["id"] for event in events if event["n"] <= len(stored)):
            return Answering(409, {"code": "n_conflict"})
        new = [event for event in events if event["n"] > len(stored)]
        stored.extend(new)
        acceptance = {"accepted": len(new), "duplicates": len(events) - len(new), "lastSeq": len(stored)}
        return Answering(200, {**acceptance, "stopRequested": self.stop_requested})


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            run_id = self.path.split("/")[3]
            answering = receiver.take(run_id, body, {name.lower(): value for name, value in self.headers.items()})
            if answering.hangs_up:
                self.close_connection = True
                return
            said = json.dumps(answering.body).encode()
            self.send_response(answering.status)
            for name, value in {**answering.headers, "content-length": str(len(said))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Tests show what matters."""

    return Handler

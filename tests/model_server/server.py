"""The HTTP side: three APIs, and `/_script`, `/_state` for the test."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from tests.model_server import completions, messages, responses
from tests.model_server.script import Recorded, Script

Json = dict[str, Any]
TITLE = {"text": "A scripted title"}


@dataclass(frozen=True)
class Api:
    name: str
    is_side: Callable[[Json], bool]
    prompt_of: Callable[[Json], str | None]
    frames: Callable[[Json, Json], Iterator[messages.Frame]]
    whole: Callable[[Json, Json], Json] | None


APIS = {
    "/messages": Api("messages", messages.is_side, messages.prompt_of, messages.frames, messages.whole),
    "/responses": Api("responses", responses.is_side, responses.prompt_of, responses.frames, None),
    "/chat/completions": Api(
        "completions", completions.is_side, completions.prompt_of, completions.frames, completions.whole
    ),
}


class Handler(BaseHTTPRequestHandler):
    """One request; the script belongs to the server."""

    protocol_version = "HTTP/1.1"
    script: ClassVar[Script]
    released: ClassVar[threading.Event]

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == "/_state":
            self._answer(200, self.script.state())
        elif path.endswith("/models"):
            self._answer(200, {"object": "list", "data": [{"id": "scripted", "object": "model"}], "models": []})
        else:
            self._answer(404, {"error": {"message": "not scripted"}})

    def do_HEAD(self) -> None:
        self._answer(200, {})

    def do_POST(self) -> None:
        path = self.path.split("?")[0]
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        if path == "/_script":
            self.script.add(body["steps"])
            self._answer(200, {})
        elif path == "/_reset":
            self.script.reset()
            self._answer(200, {})
        elif path.endswith("/count_tokens"):
            self._answer(200, {"input_tokens": 100})
        elif api := next((one for end, one in APIS.items() if path.endswith(end)), None):
            self._play(api, body)
        else:
            self._answer(200, {})

    def _play(self, api: Api, body: Json) -> None:
        side = api.is_side(body)
        step = self.script.record(Recorded(api.name, side, api.prompt_of(body), body)) or TITLE
        if step.get("hang"):
            self.released.wait()
        if "status" in step:
            self._answer(int(str(step["status"])), _error(step))
        elif body.get("stream") or api.whole is None:
            self._stream(broken(api.frames(body, step), step), step)
        elif any(step.get(way) for way in ("malformed", "cut", "stall")):
            self._answer_half(step)
        else:
            self._answer(200, api.whole(body, step))

    def _answer_half(self, step: Json) -> None:
        """Answer a request that does not stream with a body that is no JSON or ends too early."""
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "12" if step.get("malformed") else "4096")
        self.end_headers()
        self.wfile.write(b"{not a JSON}")
        self.wfile.flush()
        if step.get("stall"):
            self.released.wait()
        self.close_connection = True

    def _stream(self, frames: Iterator[messages.Frame], step: Json) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for event, data in frames:
            head = f"event: {event}\n" if event else ""
            text = data if isinstance(data, str) else json.dumps(data)
            self.wfile.write(f"{head}data: {text}\n\n".encode())
            self.wfile.flush()
        if step.get("stall"):
            self.released.wait()
        self.close_connection = True

    def _answer(self, status: int, body: Json) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        if status >= 400:
            self.send_header("retry-after-ms", "1")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet: what came in is in /_state."""


def broken(frames: Iterator[messages.Frame], step: Json) -> Iterator[messages.Frame]:
    """The frames of a step, ended before their last ones for `cut` and `stall`, and no JSON for `malformed`."""
    if step.get("malformed"):
        yield None, "{this is no JSON"
        return
    for frame in frames:
        if (step.get("cut") or step.get("stall")) and is_last(frame, step):
            return
        yield frame


def is_last(frame: messages.Frame, step: Json) -> bool:
    """Tell whether the frame ends a text, so that what was streamed until now stays half. A `late` cut lets the text
    end, and then no end of the answer follows."""
    event, data = frame
    choices = (data.get("choices") if isinstance(data, dict) else None) or [{}]
    is_finish = choices[0].get("finish_reason") is not None
    if step.get("cut") == "late":
        return event in ("message_delta", "response.completed") or is_finish
    return event in ("content_block_stop", "response.output_item.done") or is_finish or data == "[DONE]"


def _error(step: Json) -> Json:
    kind = "authentication_error" if step["status"] == 401 else "api_error"
    return {"type": "error", "error": {"type": kind, "code": kind, "message": step.get("message", "as scripted")}}


def make_server(port: int, script: Script) -> ThreadingHTTPServer:
    """Bound to loopback; port 0 takes a free one."""
    bound = type("Bound", (Handler,), {"script": script, "released": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", port), bound)
    server.daemon_threads = True
    return server

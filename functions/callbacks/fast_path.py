"""Receive append-only callbacks without Flask, which would cost more than the callback itself.

A call that is not append-only, not signed with a first key of the run, or malformed goes on to the route. So only the
route refuses callbacks, and only the route applies effects. A body that was parsed here goes with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from io import BytesIO
from uuid import UUID
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from psycopg import OperationalError

from functions.callbacks.signed_call import CallbackHeaders, callback_headers, read_body
from functions.http.tracing import continued
from functions.runtime.process import ApiProcess
from handlers.callbacks.append_only import AppendOnlyCall, is_append_only
from schema.errors import Invalid, Unavailable
from schema.executor_api import CallbackAnswer
from schema.logs import trace_id
from schema.signature import callback_key

FAILURE = "runyard.failure"
"""The environ key under which the route finds why an append-only call could not be stored."""
PARSED = "runyard.callback_body"
"""The environ key of the parsed body, or of the error that it is refused with."""
FIRST_ATTEMPT = 1
FIRST_GENERATION = 1
_PATH = re.compile(r"/api/runs/([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})/callbacks")


class FastPath:
    """A WSGI application around the Flask app."""

    def __init__(self, app: WSGIApplication, process: ApiProcess) -> None:
        self._app = app
        self._process = process

    def __call__(self, wsgi: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        match = _PATH.fullmatch(wsgi["PATH_INFO"]) if wsgi["REQUEST_METHOD"] == "POST" else None
        size = wsgi.get("CONTENT_LENGTH") or ""
        if match is None or not size.isdecimal() or int(size) > self._process.settings.max_callback_bytes:
            return self._app(wsgi, start_response)
        headers = callback_headers(wsgi)
        if headers is None:
            return self._app(wsgi, start_response)
        raw = wsgi["wsgi.input"].read(int(size))
        wsgi["wsgi.input"] = BytesIO(raw)  # for the route, which may read it again
        received = self._receive(UUID(match[1]), raw, headers, wsgi)
        if received is None:
            return self._app(wsgi, start_response)
        return _answer(received, wsgi, start_response)

    def _receive(
        self, run_id: UUID, raw: bytes, headers: CallbackHeaders, wsgi: WSGIEnvironment
    ) -> CallbackAnswer | None:
        attempt = headers.attempt or FIRST_ATTEMPT
        if not headers.signature.is_by(self._first_keys(run_id, attempt), raw):
            return None
        try:
            body = wsgi[PARSED] = read_body(raw, headers)
        except Invalid as error:
            wsgi[PARSED] = error
            return None
        if body.attempt != attempt or not is_append_only(body):
            return None
        try:
            return self._process.callback_batcher.receive(AppendOnlyCall(run_id, body, FIRST_GENERATION))
        except (OperationalError, Unavailable) as error:
            wsgi[FAILURE] = error
            return None

    def _first_keys(self, run_id: UUID, attempt: int) -> list[str]:
        """Return the attempt's first key, which is known without a query and valid unless rotated; two keys while the
        secret key is being changed."""
        return [
            callback_key(secret, run_id=run_id, attempt=attempt, generation=FIRST_GENERATION)
            for secret in self._process.settings.secret_keys.all
        ]


def _answer(received: CallbackAnswer, wsgi: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    content = received.model_dump_json(by_alias=True, exclude_none=True).encode()
    traceparent = continued(wsgi.get("HTTP_TRACEPARENT"))
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(content))),
        ("traceparent", traceparent),
        ("x-trace-id", trace_id(traceparent) or ""),
    ]
    start_response("200 OK", headers)
    return [content]

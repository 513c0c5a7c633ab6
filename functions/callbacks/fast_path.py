"""Receive append-only callbacks without Flask, which would cost more than the callback itself.

A call that is not append-only, not signed with the run's first key, or malformed goes on to the route unchanged. So
only the route refuses callbacks, and only the route applies effects.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any
from uuid import UUID
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from psycopg import OperationalError
from pydantic import ValidationError

from functions.http.openapi import WEBHOOK_HEADERS
from functions.http.strict_json import read_sanitized
from functions.http.tracing import continued
from functions.runtime.process import ApiProcess
from handlers.callbacks.append_only import AppendOnlyCall, is_append_only
from schema.errors import Unavailable
from schema.executor_api import CallbackAnswer, CallbackBody
from schema.logs import trace_id
from schema.signature import callback_key, is_signed

FAILURE = "runyard.failure"
"""The environ key under which the route finds why an append-only call could not be stored."""
FIRST_GENERATION = 1
_PATH = re.compile(r"/api/runs/([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})/callbacks")
_KEYS = {name: f"HTTP_{name.upper().replace('-', '_')}" for name in WEBHOOK_HEADERS}


class FastPath:
    """A WSGI application around the Flask app."""

    def __init__(self, app: WSGIApplication, process: ApiProcess) -> None:
        self._app = app
        self._process = process

    def __call__(self, wsgi: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        found = _PATH.fullmatch(wsgi["PATH_INFO"]) if wsgi["REQUEST_METHOD"] == "POST" else None
        size = wsgi.get("CONTENT_LENGTH") or ""
        if found is None or not size.isdecimal() or int(size) > self._process.settings.max_callback_bytes:
            return self._app(wsgi, start_response)
        raw = wsgi["wsgi.input"].read(int(size))
        wsgi["wsgi.input"] = BytesIO(raw)  # for the route, which may read it again
        try:
            received = self._receive(UUID(found[1]), raw, wsgi)
        except (OperationalError, Unavailable) as error:
            wsgi[FAILURE] = error
            received = None
        if received is None:
            return self._app(wsgi, start_response)
        return _answer(received, wsgi, start_response)

    def _receive(self, run_id: UUID, raw: bytes, wsgi: WSGIEnvironment) -> CallbackAnswer | None:
        try:
            body = CallbackBody.model_validate(read_sanitized(raw))
        except (ValueError, ValidationError):
            return None
        if not is_append_only(body) or not self._is_signed(run_id, body, raw, wsgi):
            return None
        return self._process.callback_batcher.receive(AppendOnlyCall(run_id, body, FIRST_GENERATION))

    def _is_signed(self, run_id: UUID, body: CallbackBody, raw: bytes, wsgi: Mapping[str, Any]) -> bool:
        """Check the signature with the run's first key, which is known without a query and valid unless rotated."""
        secret = self._process.settings.secret_key
        key = callback_key(secret, run_id=run_id, attempt=body.attempt, generation=FIRST_GENERATION)
        return is_signed([key], raw, {name: wsgi.get(found, "") for name, found in _KEYS.items()})


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

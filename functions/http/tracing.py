"""Continue each caller's W3C trace, or begin one, and name it in the request's log lines."""

from __future__ import annotations

import re
import secrets
import time

import structlog
from flask import Flask, Response, g, request

from schema.logs import trace_id

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?")
_OFTEN = frozenset({"callbacks.post_callbacks", "health.get_health", "health.get_ready"})
"""Endpoints that machines call very often. They are logged only when they fail, to keep the log cheap and readable."""
_log = structlog.get_logger("functions.access")


def trace_requests(app: Flask) -> None:
    """Name each request's trace, answer with its id, and log one line per request."""
    app.before_request(begin_trace)
    app.after_request(_answer_with_trace)


def continued(incoming: str | None) -> str:
    """Return a traceparent for this request: the caller's trace with a new span, or a new trace."""
    match = _TRACEPARENT.fullmatch((incoming or "").strip())
    trace, flags = (match[1], match[2]) if match else (secrets.token_hex(16), "01")
    return f"00-{trace}-{secrets.token_hex(8)}-{flags}"


def begin_trace() -> None:
    g.began = time.monotonic()
    g.traceparent = continued(request.headers.get("traceparent"))
    ids = {"sessionId": "session_id", "runId": "run_id"}
    arguments = request.view_args or {}
    named = {key: str(arguments[name]) for key, name in ids.items() if name in arguments}
    structlog.contextvars.clear_contextvars()  # the thread has served another request before
    structlog.contextvars.bind_contextvars(traceId=trace_id(g.traceparent), **named)


def name_in_log(**ids: object) -> None:
    """Add ids made in this request (camelCase) to its further log lines."""
    structlog.contextvars.bind_contextvars(**{name: str(value) for name, value in ids.items()})


def current_trace_id() -> str | None:
    """Return the trace id; None outside a request, and when the request failed before its trace began."""
    return trace_id(g.get("traceparent"))


def _answer_with_trace(response: Response) -> Response:
    response.headers["traceparent"] = g.traceparent
    response.headers["x-trace-id"] = trace_id(g.traceparent) or ""
    if request.endpoint in _OFTEN and response.status_code < 400:
        return response
    _log.info(
        "request",
        method=request.method,
        path=request.path,
        status=response.status_code,
        milliseconds=round((time.monotonic() - g.began) * 1000, 1),
        userId=str(g.actor.user_id) if "actor" in g else None,
    )
    return response

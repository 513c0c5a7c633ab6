"""Guard every call before its route: set the trace, check the bearer token, limit the body, record the call."""

from __future__ import annotations

import hmac
from collections import deque
from datetime import UTC, datetime
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from executor.http.problems import problem
from schema.errors import RunyardError, TooLarge, Unauthenticated
from schema.executor_api import TRACE_HEADERS, CallRecord
from schema.logs import log_context, trace_id

MAX_BODY_BYTES = 16 * 1024 * 1024
CALLS_KEPT = 200
_OPEN = frozenset({"/health"})
_UNRECORDED = frozenset({"/health", "/events"})


class Guard:
    """Wrap the whole service as ASGI middleware. `calls` holds the newest calls, oldest first."""

    def __init__(self, app: ASGIApp, *, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()
        self.calls: deque[CallRecord] = deque(maxlen=CALLS_KEPT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        scope["trace_id"] = _trace(headers)
        recorded = self._recording(scope, headers, send)
        with log_context(traceId=scope["trace_id"]):
            refusal = self._refusal(scope, headers)
            if refusal is not None:
                await problem(refusal, scope["trace_id"])(scope, receive, recorded)
            else:
                await self._app(scope, _limited(receive), recorded)

    def _refusal(self, scope: Scope, headers: Headers) -> RunyardError | None:
        if scope["path"] not in _OPEN and not self._is_authorized(headers):
            return Unauthenticated()
        length = headers.get("content-length", "0")
        return TooLarge() if not length.isdigit() or int(length) > MAX_BODY_BYTES else None

    def _is_authorized(self, headers: Headers) -> bool:
        return hmac.compare_digest(headers.get("authorization", "").encode(), self._expected)

    def _recording(self, scope: Scope, headers: Headers, send: Send) -> Send:
        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["path"] not in _UNRECORDED:
                self.calls.append(_call_record(scope, headers, message["status"]))
            await send(message)

        return recorded


def _limited(receive: Receive) -> Receive:
    """Count the body's bytes as they arrive, for bodies without a content length. Raises TooLarge."""
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BODY_BYTES:
            raise TooLarge
        return message

    return limited


def _trace(headers: Headers) -> str:
    return (headers.get("x-trace-id") or trace_id(headers.get("traceparent")) or uuid4().hex)[:200]


def _call_record(scope: Scope, headers: Headers, status: int) -> CallRecord:
    return CallRecord(
        at=datetime.now(UTC),
        method=scope["method"],
        path=scope["path"][:500],
        status=status,
        trace={name: headers[name][:200] for name in TRACE_HEADERS if name in headers},
    )

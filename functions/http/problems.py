"""Turn errors into RFC 9457 problems, with the only table from error classes to HTTP status."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus

import structlog
from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import Response, request
from psycopg import DataError, OperationalError
from psycopg.errors import ReadOnlySqlTransaction
from werkzeug.exceptions import HTTPException
from werkzeug.routing import WebsocketMismatch

from functions.http.path_ids import has_malformed_id, methods_of_fixed_path
from functions.http.tracing import current_trace_id
from functions.runtime.process import api_process
from schema.database_faults import BUSY_ERRORS, cause_of, is_outage
from schema.errors import (
    Conflict,
    Forbidden,
    Invalid,
    InvalidId,
    NotFound,
    RunyardError,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from schema.json_limits import MOST_FAULTS
from schema.shares import ShareUsedUp

RETRY_SECONDS = 2
NOT_AN_ID = "UUID"
"""Stands in every message of pydantic about a malformed id; APIFlask passes on the message, not the type."""
_LENGTH = re.compile(r"Value should have (at least|at most) (\d+) items? after validation, not \d+")
"""pydantic says this of texts too, where a check of ours comes before the length's."""
_log = structlog.get_logger("functions.http.problems")


class MalformedJson(Invalid):
    """The body is not JSON."""

    code = "malformed_json"


STATUS: tuple[tuple[type[RunyardError], HTTPStatus], ...] = (
    (MalformedJson, HTTPStatus.BAD_REQUEST),
    (Invalid, HTTPStatus.UNPROCESSABLE_ENTITY),
    (Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (ShareUsedUp, HTTPStatus.TOO_MANY_REQUESTS),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (RunyardError, HTTPStatus.INTERNAL_SERVER_ERROR),
)
"""The first class that fits counts."""

_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": str(RETRY_SECONDS)},
}
_CODES = {
    HTTPStatus.BAD_REQUEST: "bad_request",
    HTTPStatus.NOT_FOUND: "no_such_route",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TooLarge.code,
    HTTPStatus.UNPROCESSABLE_ENTITY: Invalid.code,
    HTTPStatus.INTERNAL_SERVER_ERROR: RunyardError.code,
}


def answer_with_problems(app: APIFlask) -> None:
    """Answer every error of the app with a problem."""
    app.error_processor(_validation_problem)
    app.register_error_handler(HTTPException, _http_problem)
    app.register_error_handler(RunyardError, known_problem)
    app.register_error_handler(OperationalError, _database_fault)
    app.register_error_handler(ReadOnlySqlTransaction, _database_fault)
    app.register_error_handler(DataError, _unstorable)
    app.register_error_handler(Exception, _unexpected)


def problem(
    status: int,
    *,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, object] | None = None,
) -> Response:
    """Return an `application/problem+json` answer. Extension `members` never overwrite a standard member."""
    at = HTTPStatus(status)
    body = {
        **{name: value for name, value in (members or {}).items() if value is not None},
        "type": f"urn:runyard:problem:{code}",
        "title": at.phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "traceId": current_trace_id() or "",
    }
    return Response(
        json.dumps(body, ensure_ascii=False, default=str),
        status=status,
        mimetype="application/problem+json",
        headers={**_HEADERS.get(at, {}), **(headers or {})},
    )


def known_problem(error: RunyardError) -> Response:
    status = next(status for class_, status in STATUS if isinstance(error, class_))
    headers = error.headers if isinstance(error, ShareUsedUp) else None
    return problem(status, code=error.problem_code, detail=error.detail, headers=headers, members=error.members)


def _validation_problem(error: HTTPError) -> Response:
    """Name the fields and their faults; repeat nothing of the input."""
    faults = [
        {"where": f"{location}.{field}"[:200], "problem": plain_fault(message)}
        for location, fields in dict(error.detail or {}).items()
        for field, messages in fields.items()
        for message in messages
    ]
    detail = "; ".join(f"{fault['where']}: {fault['problem']}" for fault in faults[:3]) or str(error.message)
    code = _CODES.get(HTTPStatus(error.status_code), "invalid")
    if faults and all(NOT_AN_ID in fault["problem"] for fault in faults):
        code = InvalidId.code
    return problem(error.status_code, code=code, detail=detail, members={"errors": faults[:MOST_FAULTS] or None})


def plain_fault(message: str) -> str:
    """Return a fault as pydantic words it, but without its prefix of checks of ours, and with lengths in words that fit
    texts and lists."""
    return _LENGTH.sub(r"Value should have a length of \1 \2", message.removeprefix("Value error, "))


def _http_problem(error: HTTPException) -> Response | HTTPException:
    if error.response is not None or (error.code or 500) < 400:  # a redirect or a raised response
        return error
    if isinstance(error, WebsocketMismatch):
        return known_problem(Invalid(_mismatch(), code="bad_handshake"))
    status = error.code or 500
    fixed = methods_of_fixed_path()
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED) and has_malformed_id() and fixed is None:
        return known_problem(InvalidId("An id in the path is not a UUID."))
    headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    if status == HTTPStatus.METHOD_NOT_ALLOWED and fixed is not None:
        headers["Allow"] = ", ".join(sorted(fixed))
    code = _CODES.get(HTTPStatus(status), HTTPStatus(status).phrase.lower().replace(" ", "_"))
    return problem(status, code=code, detail=error.description or error.name, headers=headers)


def _mismatch() -> str:
    """Say which of the two fits: an upgrade to an address without a WebSocket, or none to one that has it."""
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return "This address has no WebSocket: send the request without an upgrade."
    return "This address is a WebSocket's: ask for an upgrade."


def _database_fault(error: OperationalError | ReadOnlySqlTransaction) -> Response:
    cause = cause_of(error)
    api_process().full_disk.note(cause)
    if is_outage(error):
        _log.warning("the database did not answer; answering 503", why=cause, reason=type(error).__name__)
    else:
        _log.error("the database ended a statement; answering 503", why=cause, exc_info=error)
    detail = f"{cause} Try again shortly."
    if isinstance(error, BUSY_ERRORS):
        return problem(503, code="database_busy", detail=detail)
    return problem(503, code="database_unavailable", detail=detail)


def _unstorable(error: DataError) -> Response:
    _log.warning("the database refused a value; answering 422", reason=type(error).__name__)
    return problem(422, code=Invalid.code, detail="PostgreSQL cannot store a value of the request.")


def _unexpected(error: Exception) -> Response:
    _log.error("a request failed", exc_info=error)
    return problem(
        500, code=RunyardError.code, detail="The request failed inside Runyard. Look up the trace id in its log."
    )

"""Make the server's own refusals, before the app: RFC 9457 problems."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from gunicorn.http import errors  # type: ignore[import-untyped]

from schema.errors import RunyardError, TooLarge

RETRY_SECONDS = 2
NOT_HTTP = "The request is not valid HTTP/1.1."


class RefusedRequest(RunyardError):
    """The server refuses this request before the app sees it."""

    code = "bad_request"

    def __init__(self, status: HTTPStatus, detail: str = NOT_HTTP, *, code: str = "bad_request") -> None:
        self.status = status
        super().__init__(detail, code=code)


def body_too_large(limit: int) -> RefusedRequest:
    """413; `limit` is in bytes."""
    return RefusedRequest(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body may have {limit:,} bytes at most.", code=TooLarge.code
    )


def head_too_large(limit: int) -> RefusedRequest:
    return RefusedRequest(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        f"The request line and headers may have {limit:,} bytes at most.",
        code="headers_too_large",
    )


def request_too_slow(detail: str) -> RefusedRequest:
    return RefusedRequest(HTTPStatus.REQUEST_TIMEOUT, detail, code="request_too_slow")


def server_full(detail: str) -> RefusedRequest:
    return RefusedRequest(HTTPStatus.SERVICE_UNAVAILABLE, detail, code="server_full")


_BY_GUNICORN: Mapping[type[Exception], tuple[HTTPStatus, str, str]] = MappingProxyType(
    {
        errors.LimitRequestLine: (HTTPStatus.REQUEST_URI_TOO_LONG, "The request line is too long.", "uri_too_long"),
        errors.LimitRequestHeaders: (
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            "The request has too many headers, or one that is too long.",
            "headers_too_large",
        ),
        errors.ExpectationFailed: (
            HTTPStatus.EXPECTATION_FAILED,
            "Only the expectation 100-continue can be met.",
            "expectation_failed",
        ),
        errors.UnsupportedTransferCoding: (
            HTTPStatus.NOT_IMPLEMENTED,
            "The only transfer coding understood is chunked.",
            "unsupported_transfer_coding",
        ),
        errors.ConfigurationProblem: (
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "The server is not configured for this request.",
            RunyardError.code,
        ),
    }
)


def refusal_of(error: Exception) -> RefusedRequest:
    """Return the refusal for an error of gunicorn's parser. Any other error is 500."""
    if isinstance(error, RefusedRequest):
        return error
    for kind, (status, detail, code) in _BY_GUNICORN.items():
        if isinstance(error, kind):
            return RefusedRequest(status, detail, code=code)
    if isinstance(error, errors.ParseException | errors.NoMoreData):
        return RefusedRequest(HTTPStatus.BAD_REQUEST)
    return RefusedRequest(
        HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong in Runyard. See its log.", code=RunyardError.code
    )


def refusal_json(refusal: RefusedRequest) -> bytes:
    """Return the problem."""
    status = refusal.status
    problem = {
        "type": f"urn:runyard:problem:{refusal.problem_code}",
        "title": status.phrase,
        "status": status.value,
        "detail": refusal.detail,
        "code": refusal.problem_code,
        "traceId": secrets.token_hex(16),
    }
    return json.dumps(problem).encode()


def refusal_bytes(refusal: RefusedRequest) -> bytes:
    """Return the whole HTTP/1.1 response. It announces the end of the connection."""
    status, content = refusal.status, refusal_json(refusal)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Connection: close",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        *([f"Retry-After: {RETRY_SECONDS}"] if status is HTTPStatus.SERVICE_UNAVAILABLE else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content

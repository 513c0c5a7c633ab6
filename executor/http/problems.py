"""Turn errors into HTTP: the executor's only table, with problem+json, a stable code and the call's trace."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from schema.errors import Conflict, Invalid, NotFound, RunyardError, TooLarge, Unauthenticated, Unavailable

_STATUSES: tuple[tuple[type[RunyardError], int], ...] = (
    (Conflict, 409),
    (NotFound, 404),
    (Invalid, 422),
    (TooLarge, 413),
    (Unauthenticated, 401),
    (Unavailable, 503),
)


class MalformedBody(Invalid):
    """The body is not valid JSON."""

    code = "malformed"


def problem(error: RunyardError, trace: str, *, status: int | None = None) -> Response:
    """Build a problem+json response (RFC 9457). `status` overrides the table."""
    status = status or next((number for kind, number in _STATUSES if isinstance(error, kind)), 500)
    if isinstance(error, MalformedBody):
        status = 400
    body = {
        **error.members,
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.detail,
        "code": error.problem_code,
        "traceId": trace,
    }
    headers = {"www-authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def on_error(request: Request, error: Exception) -> Response:
    """Answer Runyard's errors, the framework's (unknown route or method) and any other. The log holds the others'
    details."""
    trace = trace_of(request)
    match error:
        case RunyardError():
            return problem(error, trace)
        case HTTPException(status_code=status, detail=detail):
            code = {404: "not_found", 405: "method_not_allowed"}.get(status, "invalid")
            return problem(RunyardError(detail, code=code), trace, status=status)
        case _:
            return problem(
                RunyardError("The executor failed unexpectedly; its log has the details under this trace id."), trace
            )


def trace_of(request: Request) -> str:
    """Return the trace id that the guard gave to the call, or an empty string."""
    return str(request.scope.get("trace_id", ""))

"""Calls that fail as told, by path: for tests of whatever calls executors. No image has this module."""

from __future__ import annotations

import json
import os

from pydantic import Field, TypeAdapter, ValidationError
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from schema.settings import BadSetting
from schema.wire import Json, Request


class Failure(Request):
    """The next `times` calls of a path get `status`, `body` as JSON, and `headers`."""

    times: int = Field(ge=1)
    status: int = Field(ge=400, le=599)
    body: Json = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)


FailurePlan = dict[str, Failure]


def failing(app: ASGIApp, told: str) -> ASGIApp:
    """The app, with failures before it. `told` is JSON, `{path: failure}`. Raises BadSettings outside of our tests."""
    if not os.environ.get("PYTEST_VERSION"):
        raise BadSetting("EXECUTOR_FAIL_FOR_TESTS: only this project's own tests may have calls fail.")
    try:
        plan = TypeAdapter(FailurePlan).validate_json(told)
    except ValidationError:
        raise BadSetting("EXECUTOR_FAIL_FOR_TESTS: it must be {path: {times, status, body, headers}}.") from None
    left = {path: failure.times for path, failure in plan.items()}

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if not left.get(path):
            await app(scope, receive, send)
            return
        left[path] -= 1
        failure = plan[path]
        response = Response(json.dumps(failure.body), failure.status, failure.headers, "application/problem+json")
        await response(scope, receive, send)

    return answer

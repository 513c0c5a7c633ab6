"""Make calls fail by path, for tests of the executor's callers. Images do not contain this module."""

from __future__ import annotations

import json
import os

from pydantic import Field, TypeAdapter, ValidationError
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from schema.settings import BadSetting
from schema.wire import Json, Request


class Failure(Request):
    """Answer the next `times` calls of a path with `status`, `body` (sent as JSON) and `headers`."""

    times: int = Field(ge=1)
    status: int = Field(ge=400, le=599)
    body: Json = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)


FailurePlan = dict[str, Failure]


def failing(app: ASGIApp, plan_json: str) -> ASGIApp:
    """Return the app with failures in front of it. `plan_json` is `{path: failure}`. Raises BadSetting outside of
    tests."""
    if not os.environ.get("PYTEST_VERSION"):
        raise BadSetting("EXECUTOR_FAIL_FOR_TESTS works only in this project's tests. Unset it.")
    try:
        plan = TypeAdapter(FailurePlan).validate_json(plan_json)
    except ValidationError:
        raise BadSetting(
            "EXECUTOR_FAIL_FOR_TESTS must be JSON of the form {path: {times, status, body, headers}}."
        ) from None
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

"""A problem's own members stay what they are, whatever an error adds."""

from __future__ import annotations

import json

from executor.http.problems import problem
from schema.errors import Conflict


def test_an_error_adds_members_and_overwrites_none() -> None:
    error = Conflict("It is old.", code="stale_epoch", status=200, title="Fine", traceId="other", expected=3)
    body = json.loads(bytes(problem(error, "trace").body))
    told = (body["status"], body["title"], body["detail"], body["code"], body["traceId"], body["expected"])
    assert told == (409, "Conflict", "It is old.", "stale_epoch", "trace", 3)

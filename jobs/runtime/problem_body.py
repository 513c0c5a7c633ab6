"""Read the problem document (RFC 9457) of an answer."""

from __future__ import annotations

import httpx

from schema.wire import Json


def problem_of(answer: httpx.Response) -> Json:
    """Return the document; an empty one when the body is none."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}

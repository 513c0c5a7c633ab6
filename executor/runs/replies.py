"""What the control plane's answer to a callback means for the run. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pydantic import ValidationError

from schema.executor_api import CallbackAnswer
from schema.wire import Json

LONGEST_RETRY_AFTER = 60.0
_REFUSALS = frozenset({400, 413, 422})


@dataclass(frozen=True)
class Accepted:
    """It is stored. `stop_requested` repeats a stop that may not have reached us."""

    stop_requested: bool


@dataclass(frozen=True)
class GoOnFrom:
    """The control plane waits for event `n`."""

    n: int


@dataclass(frozen=True)
class NotOurs:
    """Another executor or attempt has the run now."""

    why: str


@dataclass(frozen=True)
class EventsRefused:
    """These events will never be taken."""

    why: str


@dataclass(frozen=True)
class TryAgain:
    """Later; `after` is in seconds where the answer said so."""

    why: str
    after: float | None = None


CallbackReply = Accepted | GoOnFrom | NotOurs | EventsRefused | TryAgain


def read_reply(status: int, headers: Mapping[str, str], body: bytes) -> CallbackReply:
    """An answer that is not of the control plane (a proxy's page) never counts as an acknowledgement."""
    if 200 <= status < 300:
        return _acceptance(body)
    if status == 409:
        return _conflict(_problem(body))
    if status in _REFUSALS:
        return EventsRefused(_sentence(status, _problem(body)))
    if status == 429 or status >= 500:
        return TryAgain(f"answered {status}", after=_retry_after(headers.get("retry-after")))
    return TryAgain(_sentence(status, _problem(body)))


def _acceptance(body: bytes) -> CallbackReply:
    try:
        return Accepted(CallbackAnswer.model_validate_json(body).stop_requested)
    except ValidationError:
        return TryAgain("answered with something that is no acknowledgement")


def _conflict(problem: Json) -> CallbackReply:
    code, expected = problem.get("code"), problem.get("expected")
    if code == "gap" and isinstance(expected, int):
        return GoOnFrom(expected)
    if code in {"stale_epoch", "stale_attempt"}:
        return NotOurs(_sentence(409, problem))
    return EventsRefused(_sentence(409, problem))


def _sentence(status: int, problem: Json) -> str:
    said = ": ".join(str(problem[key])[:300] for key in ("code", "detail") if problem.get(key))
    return f"The control plane answered {status}{f' {said}' if said else ''}"


def _problem(body: bytes) -> Json:
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return problem if isinstance(problem, dict) else {}


def _retry_after(value: str | None) -> float | None:
    """RFC 9110: seconds or a date."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip().isdigit() else _seconds_until(parsedate_to_datetime(value))
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _seconds_until(moment: datetime) -> float:
    return (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds()

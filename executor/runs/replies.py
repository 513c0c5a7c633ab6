"""Decide what the control plane's answer to a callback means for the run. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from schema.executor_api import CallbackAnswer
from schema.retry_after import LONGEST_RETRY_AFTER, retry_after_seconds
from schema.wire import Json

_REFUSALS = frozenset({400, 413, 422})


@dataclass(frozen=True)
class Accepted:
    """The control plane stored the events. `stop_requested` repeats a stop that may not have arrived."""

    stop_requested: bool


@dataclass(frozen=True)
class ResumeFrom:
    """The control plane expects event `n` next."""

    n: int


@dataclass(frozen=True)
class TakenOver:
    """Another executor or attempt has the run now."""

    why: str


@dataclass(frozen=True)
class EventsRefused:
    """The control plane will never accept these events."""

    why: str


@dataclass(frozen=True)
class RetryLater:
    """Send again later: after `after` seconds when the answer said so."""

    why: str
    after: float | None = None


CallbackReply = Accepted | ResumeFrom | TakenOver | EventsRefused | RetryLater


def read_reply(status: int, headers: Mapping[str, str], body: bytes) -> CallbackReply:
    """Read an answer. An answer that is not the control plane's, such as a proxy's page, is never an
    acknowledgement."""
    if 200 <= status < 300:
        return _acceptance(body)
    if status == 409:
        return _conflict(_problem(body))
    if status in _REFUSALS:
        return EventsRefused(_sentence(status, _problem(body)))
    if status == 429 or status >= 500:
        return RetryLater(f"The control plane answered {status}.", after=_pause(headers.get("retry-after")))
    return RetryLater(_sentence(status, _problem(body)))


def _acceptance(body: bytes) -> CallbackReply:
    try:
        return Accepted(CallbackAnswer.model_validate_json(body).stop_requested)
    except ValidationError:
        return RetryLater("The answer is not an acknowledgement.")


def _conflict(problem: Json) -> CallbackReply:
    code, expected = problem.get("code"), problem.get("expected")
    if code == "gap" and isinstance(expected, int):
        return ResumeFrom(expected)
    if code in {"stale_epoch", "stale_attempt"}:
        return TakenOver(_sentence(409, problem))
    return EventsRefused(_sentence(409, problem))


def _sentence(status: int, problem: Json) -> str:
    problem_text = ": ".join(str(problem[key])[:300] for key in ("code", "detail") if problem.get(key))
    return f"The control plane answered {status}{f' {problem_text}' if problem_text else ''}"


def _problem(body: bytes) -> Json:
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return problem if isinstance(problem, dict) else {}


def _pause(value: str | None) -> float | None:
    seconds = retry_after_seconds(value)
    return None if seconds is None else min(seconds, LONGEST_RETRY_AFTER)

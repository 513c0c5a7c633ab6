"""Tell times as people say them: "5 min ago", "in 59 min", "yesterday 14:05". Times are in this machine's time zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

MINUTE, HOUR, DAY = 60, 3600, 86400
_OF_THE_API = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")


def moment_of(text: str) -> datetime:
    """Parse a time as the API writes it."""
    return datetime.fromisoformat(text)


def length_words(seconds: float) -> str:
    """Return a length of time in its two largest units: `45 s`, `59 min`, `2 h 5 min`, `3 d 4 h`."""
    whole = max(0, round(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    large, small = ((HOUR, "h"), (MINUTE, "min")) if whole < DAY else ((DAY, "d"), (HOUR, "h"))
    rest = whole % large[0] // small[0]
    return f"{whole // large[0]} {large[1]}" + (f" {rest} {small[1]}" if rest else "")


def ago_words(at: datetime, *, now: datetime | None = None) -> str:
    """Say how long ago a time was, up to a day; else name the day."""
    now = now or datetime.now(UTC)
    seconds = (now - at).total_seconds()
    if seconds < 10:
        return "just now"
    return f"{length_words(seconds)} ago" if seconds < DAY else moment_words(at, now=now)


def moment_words(at: datetime, *, now: datetime | None = None) -> str:
    """Name a time by its clock and as much of its date as is needed."""
    here, today = at.astimezone(), (now or datetime.now(UTC)).astimezone().date()
    if here.date() == today:
        return f"{here:%H:%M}"
    if here.date() == today - timedelta(days=1):
        return f"yesterday {here:%H:%M}"
    return f"{here.day} {here:%b %H:%M}" if here.year == today.year else f"{here.day} {here:%b %Y}"


def with_moment_words(value: Any) -> Any:
    """Return the API's JSON with each time in it, at any depth, in words."""
    if isinstance(value, dict):
        return {name: with_moment_words(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_moment_words(entry) for entry in value]
    is_time = isinstance(value, str) and _OF_THE_API.fullmatch(value)
    return moment_words(moment_of(value)) if is_time else value

"""Read the Retry-After header (RFC 9110) of an answer."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_RETRY_AFTER = 60.0
"""Seconds that a client of ours waits within one call; a longer pause is its caller's to plan."""


def retry_after_seconds(value: str | None) -> float | None:
    """Return the pause in seconds, 0 for a date in the past. None without a value, and for one that says nothing."""
    text = (value or "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())

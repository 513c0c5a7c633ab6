"""Turn an event's data into JSON text that PostgreSQL and every reader accept.

The text has no NUL, no lone surrogate and no deep nesting, and it fits into one callback.
"""

from __future__ import annotations

import json
import re

from executor.agents.text import clean_json
from executor.runs.coalescing import Draft
from schema.events import RunWarning
from schema.json_limits import MAX_DEPTH, MAX_ZEROS_PER_EVENT, MOST_DIGITS, depth_of, read_integer, zeros_of
from schema.wire import Json

MAX_BYTES = 7 * 1024 * 1024
"""Bytes of one event. The control plane accepts calls of 8 MiB (MAX_CALLBACK_BYTES); a refused call ends the run."""
_DIGITS = re.compile(rf"\d{{{MOST_DIGITS + 1}}}")
_EXPONENT = re.compile(r"e[+-]?(\d{2,3})")


def storable(draft: Draft) -> tuple[str, str]:
    """Return the event's type and data. An event that cannot be stored becomes a `run.warning` that says so."""
    try:
        return draft.type, _written(draft.data.to_json())
    except (ValueError, RecursionError) as error:
        message = f"A {draft.type} of the agent was left out: {error}."
        return "run.warning", _written(RunWarning(code="event_left_out", message=message).to_json())


def is_storable(draft: Draft) -> bool:
    """Tell whether the event can be stored unchanged."""
    return storable(draft)[0] == draft.type


def _written(data: Json) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    if "\\u0000" in text or not _is_utf8(text):
        text = json.dumps(clean_json(data), ensure_ascii=False, separators=(",", ":"))
    if len(text) * 4 > MAX_BYTES and len(text.encode()) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    if text.count("{") + text.count("[") > MAX_DEPTH and depth_of(data) > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if sum(map(int, _EXPONENT.findall(text))) > MAX_ZEROS_PER_EVENT and _zeros(text) > MAX_ZEROS_PER_EVENT:
        raise ValueError("too many of its numbers are very large or very small")
    if _DIGITS.search(text):
        json.loads(text, parse_int=read_integer)
    return text


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _zeros(text: str) -> int:
    """Count the digits that numbers gain when they are written out in full. Exponents inside strings do not count."""
    digits: list[int] = []

    def read(number: str) -> float:
        value = float(number)
        digits.append(zeros_of(value))
        return value

    json.loads(text, parse_float=read)
    return sum(digits)

"""An event's data as JSON text that PostgreSQL and every reader can hold: no NUL, no lone surrogate, no great depth,
and no more than a callback takes."""

from __future__ import annotations

import json
import math
import re

from executor.agents.text import clean_json
from executor.runs.coalescing import Draft
from schema.events import RunWarning
from schema.wire import Json

MAX_DEPTH = 100
"""Levels of nesting; JSON parsers on the way stop at about 200."""
MAX_BYTES = 7 * 1024 * 1024
"""Of one event. The control plane takes calls of 8 MiB (MAX_CALLBACK_BYTES), and one that it refuses ends the run."""
MAX_ZEROS = 100_000
"""Of one event. PostgreSQL writes 1e308 out in full."""
_EXPONENT = re.compile(r"e[+-]?(\d{2,3})")


def storable(draft: Draft) -> tuple[str, str]:
    """Its type and data. One that nobody could read becomes a `run.warning` that says so: never a silent loss."""
    try:
        return draft.type, _written(draft.data.to_json())
    except (ValueError, RecursionError) as error:
        message = f"A {draft.type} of the agent was left out: {error}."
        return "run.warning", _written(RunWarning(code="event_left_out", message=message).to_json())


def is_storable(draft: Draft) -> bool:
    """Whether it would be told as it is."""
    return storable(draft)[0] == draft.type


def _written(data: Json) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    if "\\u0000" in text or not _is_utf8(text):
        text = json.dumps(clean_json(data), ensure_ascii=False, separators=(",", ":"))
    if len(text) * 4 > MAX_BYTES and len(text.encode()) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    if text.count("{") + text.count("[") > MAX_DEPTH and _depth(data) > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if sum(map(int, _EXPONENT.findall(text))) > MAX_ZEROS and _zeros(text) > MAX_ZEROS:
        raise ValueError("too many of its numbers are very large or very small")
    return text


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _zeros(text: str) -> int:
    """What its numbers would grow by; the exponents that stand in its strings do not count."""
    found: list[int] = []

    def read(number: str) -> float:
        value = float(number)
        found.append(abs(int(math.log10(abs(value)))) if value and math.isfinite(value) else 0)
        return value

    json.loads(text, parse_float=read)
    return sum(found)


def _depth(value: object) -> int:
    """Levels of objects and lists, counted level by level."""
    depth, level = 0, [value]
    while level := [child for one in level for child in _children(one)]:
        depth += 1
    return depth


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else []

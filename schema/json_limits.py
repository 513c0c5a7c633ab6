"""Limits of JSON that PostgreSQL and every reader on the way can hold."""

from __future__ import annotations

import math
from typing import Any

MAX_DEPTH = 100
"""Levels of nesting; JSON parsers on the way stop at about 200."""
MAX_ZEROS_PER_EVENT = 100_000
MAX_ZEROS_PER_CALL = 1_000_000
"""Zeros that very large and very small numbers may grow by: PostgreSQL writes 1e308 out in full. A call holds several
events."""

MOST_DIGITS = 1000
"""Digits of an integer: reading and writing one takes time by the square of them."""

MOST_FAULTS = 50
"""Faults that a refusal names."""
MOST_UNKNOWN_KEYS = MOST_FAULTS
"""Keys beyond those of its contract that an object may have before it is refused as a whole."""
_OF_MANY = frozenset({"list", "set", "frozenset", "tuple", "dict"})


def stop_at_first_fault(core_schema: Any) -> None:
    """Make every list, set, tuple and mapping in pydantic's core schema fail at its first fault."""
    rest = [core_schema]
    while rest:
        part = rest.pop()
        if isinstance(part, dict):
            kind = part.get("type")
            if isinstance(kind, str) and kind in _OF_MANY:
                part["fail_fast"] = True
            rest += [value for key, value in part.items() if key not in ("metadata", "ref", "default")]
        elif isinstance(part, (list, tuple)):
            rest += part


def depth_of(value: object) -> int:
    """Levels of objects and lists, counted level by level."""
    depth, level = 0, [value]
    while level := [child for node in level for child in _children(node)]:
        depth += 1
    return depth


def zeros_of(number: float) -> int:
    """Zeros that the number grows by when it is written out; about 0 for one of ordinary size."""
    return abs(int(math.log10(abs(number)))) if number and math.isfinite(number) else 0


def read_integer(text: str) -> int:
    """Return the integer of JSON. Raises ValueError if it has more than MOST_DIGITS digits."""
    if len(text) > MOST_DIGITS + text.startswith("-"):
        raise ValueError(f"an integer has more than {MOST_DIGITS:,} digits")
    return int(text)


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else []

"""Limits of JSON that PostgreSQL and every reader on the way can hold."""

from __future__ import annotations

import math

MAX_DEPTH = 100
"""Levels of nesting; JSON parsers on the way stop at about 200."""
MAX_ZEROS_PER_EVENT = 100_000
MAX_ZEROS_PER_CALL = 1_000_000
"""Zeros that very large and very small numbers may grow by: PostgreSQL writes 1e308 out in full. A call holds several
events."""


def depth_of(value: object) -> int:
    """Levels of objects and lists, counted level by level."""
    depth, level = 0, [value]
    while level := [child for node in level for child in _children(node)]:
        depth += 1
    return depth


def zeros_of(number: float) -> int:
    """Zeros that the number grows by when it is written out; about 0 for one of ordinary size."""
    return abs(int(math.log10(abs(number)))) if number and math.isfinite(number) else 0


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else []

"""Read JSON with comments and trailing commas, as agents read their configuration."""

from __future__ import annotations

import json
import re

_STRING = r'"(?:[^"\\]|\\.)*"'
_COMMENT = re.compile(rf"({_STRING})|//[^\n\r\u2028\u2029]*|/\*.*?\*/", re.DOTALL)
"""A line's end that only some readers know stays behind as an error, because they would disagree about the rest."""
_COMMA = re.compile(rf"({_STRING})|,(?=[ \t\n\r]*[\]}}])", re.DOTALL)


def keys_of(text: bytes) -> list[tuple[str, object]]:
    """Return every key of every object with its value, repeated keys too. Raises ValueError for anything else."""
    found: list[tuple[str, object]] = []

    def collect(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found.extend(pairs)
        return dict(pairs)

    try:
        json.loads(_plain(text.decode("utf-8-sig")), object_pairs_hook=collect)
    except RecursionError:
        raise ValueError("The text is nested too deeply.") from None
    return found


def _plain(text: str) -> str:
    without_comments = _COMMENT.sub(lambda match: match[1] or " ", text)
    return _COMMA.sub(lambda match: match[1] or "", without_comments)

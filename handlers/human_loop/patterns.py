"""Match patterns of rules: `*` is any run of characters, `?` a single character. In paths neither matches a slash,
and a name `**` matches any number of names, even none. No input makes a match slow."""

from __future__ import annotations

import re
from functools import lru_cache


def text_matches(text: str, pattern: str) -> bool:
    """Return whether the pattern matches the complete text."""
    return _compiled(pattern).fullmatch(text) is not None


def path_matches(path: str, pattern: str) -> bool:
    """Return whether the pattern matches the path. A path outside of the workspace begins with a slash or a tilde; only
    a pattern with the same beginning matches it."""
    if path.startswith(("/", "~")) != pattern.startswith(("/", "~")):
        return False
    return _names_match(path.split("/"), pattern.split("/"))


def _names_match(names: list[str], wanted: list[str]) -> bool:
    """Match names; only the last `**` needs to backtrack, since an earlier one cannot do better."""
    at = asked = 0
    last_stars: int | None = None
    taken_up_to = 0
    while at < len(names):
        if asked < len(wanted) and wanted[asked] == "**":
            last_stars, taken_up_to, asked = asked, at, asked + 1
        elif asked < len(wanted) and text_matches(names[at], wanted[asked]):
            at, asked = at + 1, asked + 1
        elif last_stars is not None:
            taken_up_to += 1
            at, asked = taken_up_to, last_stars + 1
        else:
            return False
    return all(name == "**" for name in wanted[asked:])


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile with atomic groups: text between two stars matches at its first occurrence or never."""
    first, *others = (re.escape(part).replace(r"\?", ".") for part in re.split(r"\*+", pattern))
    if not others:
        return re.compile(first, re.DOTALL)
    *middle, last = others
    return re.compile(first + "".join(f"(?>.*?{part})" for part in middle) + ".*" + last, re.DOTALL)

"""Patterns of rules: `*` is any run of characters, `?` is one. In paths neither passes a slash, and a name `**` is any
number of names, also none. Nothing that an agent thinks up makes a match take long."""

from __future__ import annotations

import re
from functools import lru_cache


def text_matches(text: str, pattern: str) -> bool:
    """Whether the pattern names the whole text."""
    return _compiled(pattern).fullmatch(text) is not None


def path_matches(path: str, pattern: str) -> bool:
    """Whether the pattern names the path. One outside of the workspace begins with a slash or a tilde, and only a
    pattern that does so too can name it."""
    if path.startswith(("/", "~")) != pattern.startswith(("/", "~")):
        return False
    return _names_match(path.split("/"), pattern.split("/"))


def _names_match(names: list[str], wanted: list[str]) -> bool:
    """Only the last `**` ever has to take more: what those before it took is as good as anything else."""
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
    """What stands between two stars is found at its first place or not at all: atomic groups never look back."""
    first, *others = (re.escape(part).replace(r"\?", ".") for part in re.split(r"\*+", pattern))
    if not others:
        return re.compile(first, re.DOTALL)
    *middle, last = others
    return re.compile(first + "".join(f"(?>.*?{part})" for part in middle) + ".*" + last, re.DOTALL)

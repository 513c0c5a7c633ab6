"""Decide which workspace paths a save leaves out, by patterns as in a .gitignore file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Ignores = Callable[[str, str, bool], bool]
"""(path below the root, its last name, whether it is a folder) -> whether it is left out, with everything below it."""

STAGING = ".runyard-restore"
"""The folder below each root in which a restore works. Paths with this name are never part of a snapshot."""
_SPECIAL = re.compile(r"[*?\[\]!\\#]|^\s|\s$|^$")


def read_patterns(patterns: Sequence[str]) -> Ignores | None:
    """Return a matcher for the patterns, or None when there are none.

    Plain names and paths, which most patterns are, need one lookup. Others use pathspec, at twenty times the cost a
    path.
    """
    if not patterns:
        return None
    names: set[tuple[str, bool]] = set()
    paths: set[tuple[str, bool]] = set()
    for pattern in patterns:
        plain = pattern.rstrip("/")
        if _SPECIAL.search(plain):
            return _by_rules(patterns)
        (paths if "/" in plain else names).add((plain.lstrip("/"), pattern.endswith("/")))

    def is_ignored(path: str, name: str, is_folder: bool) -> bool:  # noqa: FBT001 - the scan calls it for every path
        if (name, False) in names or (path, False) in paths:
            return True
        return is_folder and ((name, True) in names or (path, True) in paths)

    return is_ignored


def _by_rules(patterns: Sequence[str]) -> Ignores:
    from pathspec import GitIgnoreSpec

    rules = GitIgnoreSpec.from_lines(patterns)

    def is_ignored(path: str, _name: str, is_folder: bool) -> bool:  # noqa: FBT001 - the scan calls it for every path
        return rules.match_file(f"{path}/" if is_folder else path)

    return is_ignored

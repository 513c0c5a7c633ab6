"""Which paths of the workspace are not saved: patterns as in a .gitignore file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Ignores = Callable[[str, str, bool], bool]
"""(path below the root, its last name, whether it is a folder) -> whether it is left out, with all below it."""

STAGING = ".runyard-restore"
"""A restore works in a folder of this name below each root; whatever has the name is never part of a snapshot."""
_SPECIAL = re.compile(r"[*?\[\]!\\#]|^\s|\s$|^$")


def read_patterns(patterns: Sequence[str]) -> Ignores | None:
    """Plain names and plain paths, which is what most patterns are, are looked up; for all others there is pathspec,
    at twenty times the price a path. None when nothing is left out."""
    if not patterns:
        return None
    names: set[tuple[str, bool]] = set()
    paths: set[tuple[str, bool]] = set()
    for pattern in patterns:
        plain = pattern.rstrip("/")
        if _SPECIAL.search(plain):
            return _by_rules(patterns)
        (paths if "/" in plain else names).add((plain.lstrip("/"), pattern.endswith("/")))

    def is_ignored(path: str, name: str, is_folder: bool) -> bool:  # noqa: FBT001 - called for every path
        if (name, False) in names or (path, False) in paths:
            return True
        return is_folder and ((name, True) in names or (path, True) in paths)

    return is_ignored


def _by_rules(patterns: Sequence[str]) -> Ignores:
    from pathspec import GitIgnoreSpec

    rules = GitIgnoreSpec.from_lines(patterns)

    def is_ignored(path: str, _name: str, is_folder: bool) -> bool:  # noqa: FBT001 - called for every path
        return rules.match_file(f"{path}/" if is_folder else path)

    return is_ignored

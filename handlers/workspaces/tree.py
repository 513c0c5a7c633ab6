"""Model the known files below one root of a worker: kinds of entries, and targets of links.

Paths are relative, `.` is the root. Bytes that are not UTF-8 are surrogates, as in Python's own functions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from schema.errors import PathOutsideWorkspace
from schema.paths import ROOTS, TOP
from schema.snapshot_manifest import File, Folder, Manifest, Symlink, path_bytes
from schema.workspace_api import Root

EntryKind = Literal["file", "folder", "symlink", "other"]
MAX_LINKS = 40
_UNSAFE = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)|\x00")


@dataclass(frozen=True)
class TreeEntry:
    """An entry at a path. `target` is a link's; `digest` the SHA-256 (hex) of a file's content, if known."""

    root: Root
    path: str
    kind: EntryKind
    target: str | None = None
    digest: str | None = None


class LeadsOutside(Exception):
    """A link on the way leads out of the root, or to an unknown target."""


class Tree:
    """All known entries below one root, including the folders above them."""

    def __init__(self, root: Root, entries: Iterable[TreeEntry]) -> None:
        """Raises PathOutsideWorkspace for a path that is not below the root."""
        self.root = root
        self.things: dict[str, TreeEntry] = {}
        for entry in sorted((entry for entry in entries if entry.root == root), key=lambda entry: entry.path):
            if _UNSAFE.search(entry.path):
                raise PathOutsideWorkspace(f"{entry.path!r} is not a path below {ROOTS[root]}.", paths=[entry.path])
            self.put(entry)

    def put(self, thing: TreeEntry) -> None:
        """Add the entry and make its parents folders. Ignore an entry below a link."""
        for folder in reversed([*above(thing.path)]):
            there = self.things.get(folder)
            if there is not None and there.kind == "symlink":
                return
            if there is None or there.kind != "folder":
                self.things[folder] = TreeEntry(self.root, folder, "folder")
        there = self.things.get(thing.path)
        if there is None or there.kind != "folder":
            self.things[thing.path] = thing

    def overlaid(self, upper: Tree) -> Tree:
        """Return this tree overlaid by the upper tree, whose entries replace this tree's at the same path."""
        laid = Tree(self.root, ())
        laid.things = dict(upper.things)
        for path, thing in self.things.items():
            if path not in upper.things and not any(upper.is_no_folder(folder) for folder in above(path)):
                laid.things[path] = thing
        return laid

    def without(self, deleted: Iterable[str]) -> Tree:
        """Return this tree without these paths and everything below them."""
        gone = set(deleted)
        left = Tree(self.root, ())
        left.things = {
            path: thing
            for path, thing in self.things.items()
            if path not in gone and not any(folder in gone for folder in above(path))
        }
        return left

    def is_no_folder(self, path: str) -> bool:
        """Return whether the path holds an entry other than a folder."""
        there = self.things.get(path)
        return there is not None and there.kind != "folder"

    def obstacle(self, path: str) -> TreeEntry | None:
        """Return the nearest entry above the path that is not a folder and blocks it; None without one."""
        return next((self.things[folder] for folder in reversed([*above(path)]) if self.is_no_folder(folder)), None)

    def has(self, path: str) -> bool:
        """Return whether the path exists, also behind links. Raises LeadsOutside."""
        return path == TOP or self._resolve([*path.split("/")])

    def _resolve(self, steps: list[str]) -> bool:
        at: list[str] = []
        links = 0
        while steps:
            step = steps.pop(0)
            if step in ("", "."):
                continue
            if step == "..":
                if not at:
                    raise LeadsOutside
                at.pop()
                continue
            there = self.things.get("/".join([*at, step]))
            if there is None or (steps and there.kind not in ("folder", "symlink")):
                return False
            if there.kind != "symlink":
                at.append(step)
                continue
            links += 1
            if links > MAX_LINKS:
                return False
            at, steps = self._follow(there, at, steps)
        return True

    def _follow(self, link: TreeEntry, at: list[str], steps: list[str]) -> tuple[list[str], list[str]]:
        target = link.target
        folder = ROOTS[self.root]
        if target is None:
            raise LeadsOutside
        if not target.startswith("/"):
            return at, [*target.split("/"), *steps]
        if target != folder and not target.startswith(f"{folder}/"):
            raise LeadsOutside
        return [], [*target[len(folder) :].split("/"), *steps]

    def leads_outside(self, path: str) -> bool:
        try:
            self.has(path)
        except LeadsOutside:
            return True
        return False


def entries_of(manifest: Manifest) -> Iterator[TreeEntry]:
    """Yield the entries of a snapshot."""
    for root, entry in manifest.placed():
        path = os.fsdecode(path_bytes(entry.path))
        match entry:
            case Folder():
                yield TreeEntry(root, path, "folder")
            case Symlink():
                yield TreeEntry(root, path, "symlink", target=os.fsdecode(path_bytes(entry.target)))
            case File():
                yield TreeEntry(root, path, "file", digest=entry.digest)
            case _:
                yield TreeEntry(root, path, "file")


def above(path: str) -> Iterator[str]:
    """Yield the folders above a path, the nearest first, without the root."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def is_at_or_below(path: str, places: frozenset[str]) -> bool:
    return path in places or any(folder in places for folder in above(path))


def rule_pattern(rules: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern for paths that any of the rules names (schema/runtime_manifest.py), and for all below them.

    Groups are atomic: each run of names matches at its first occurrence or never, so that no rule is slow.
    """
    return re.compile("|".join(f"(?:{_rule(rule)}(?:/.*)?)" for rule in rules) or r"(?!)", re.DOTALL)


def _rule(rule: str) -> str:
    runs: list[list[str]] = [[]]
    for index, name in enumerate(names := rule.split("/")):
        if name == "**":
            if names[index + 1 : index + 2] != ["**"]:
                runs.append([])
        else:
            runs[-1].append(_name(name))
    first, *others = ["/".join(run) for run in runs]
    expression = first
    for run in others:
        slash = "/" if expression else ""
        expression += f"{slash}(?>(?:[^/]+/)*?{run}(?=/|\\Z))" if run else f"{slash}[^/]+"
    return expression


def _name(name: str) -> str:
    """Translate a name with `*` and `?`; two stars in a name are one."""
    parts = [re.escape(part).replace(r"\?", "[^/]") for part in re.split(r"\*+", name)]
    if len(parts) == 1:
        return parts[0]
    first, *middle, last = parts
    inner = "".join(f"(?>[^/]*?{part})" for part in middle if part)
    return f"{first}{inner}[^/]*{last}(?=/|\\Z)"

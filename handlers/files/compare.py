"""Compare two snapshots file by file, by digests, and two texts line by line. Pure."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from handlers.files.tree import Content, SnapshotTree
from schema.snapshot_manifest import Entry, Folder, HardLink, Symlink

FileChange = Literal["added", "removed", "changed"]
MOST_LINES = 2000
"""Lines of each side that are compared. The time grows with their product."""


@dataclass(frozen=True)
class ChangedFile:
    """A path whose content, target or kind differs. A side is None where it is no regular file."""

    path: str
    change: FileChange
    old: Content | None
    new: Content | None


@dataclass(frozen=True)
class Patch:
    """A unified diff, with its added and removed lines."""

    text: str
    added: int
    removed: int


def changed_files(old: SnapshotTree, new: SnapshotTree) -> list[ChangedFile]:
    """Return what differs, in the order of paths. Folders are not compared."""
    before, after = _by_path(old), _by_path(new)
    changed = []
    for path in sorted(before.keys() | after.keys()):
        one, other = before.get(path), after.get(path)
        if one is not None and other is not None and _identity(old, one) == _identity(new, other):
            continue
        change: FileChange = "added" if one is None else "removed" if other is None else "changed"
        changed.append(ChangedFile(path, change, _content(old, one), _content(new, other)))
    return changed


def patch_of(old: str, new: str, *, path: str) -> Patch | None:
    """Return the unified diff of two texts; None when one has more than MOST_LINES lines."""
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    if max(len(before), len(after)) > MOST_LINES:
        return None
    name = "".join(letter if letter.isprintable() else "?" for letter in path)
    lines = [
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for line in difflib.unified_diff(before, after, f"a/{name}", f"b/{name}")
    ]
    body = lines[2:]
    return Patch(
        "".join(lines),
        added=sum(line.startswith("+") for line in body),
        removed=sum(line.startswith("-") for line in body),
    )


def _by_path(tree: SnapshotTree) -> dict[str, Entry]:
    return {entry.path: entry for entry in tree.manifest.entries(tree.root) if not isinstance(entry, Folder)}


def _identity(tree: SnapshotTree, entry: Entry) -> tuple[str, ...]:
    if isinstance(entry, Symlink):
        return ("symlink", entry.target)
    content = _content(tree, entry)
    return ("file", str(content.size), content.digest) if content else ("folder",)


def _content(tree: SnapshotTree, entry: Entry | None) -> Content | None:
    if isinstance(entry, HardLink):
        return tree.linked(entry)
    return None if entry is None or isinstance(entry, Folder | Symlink) else entry

"""A worker's folders as dictionaries, and a plan carried out on them: what schema/restore_plan.py says, and no more."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field

from handlers.workspaces.tree import Tree, TreeEntry
from schema.paths import ROOTS
from schema.restore_plan import Decisions, RestorePlan
from schema.snapshot_manifest import path_bytes
from schema.workspace_api import Root

Path = tuple[Root, str]


@dataclass
class Disk:
    """`things` by root and path; `touched` is what a plan's own orders have changed: paths with the action."""

    things: dict[Path, TreeEntry] = field(default_factory=dict)
    contents: dict[Path, bytes] = field(default_factory=dict)
    touched: set[tuple[Path, str]] = field(default_factory=set)


def disk_of(entries: Iterable[TreeEntry]) -> Disk:
    """What a real folder can hold of them."""
    entries = list(entries)
    trees = {root: Tree(root, entries) for root in ROOTS}
    return Disk({(root, path): thing for root, tree in trees.items() for path, thing in tree.things.items()})


def carry_out(plan: RestorePlan, disk: Disk, snapshot: Iterable[TreeEntry]) -> None:
    decisions = Decisions(plan)
    for (root, path), _ in [*disk.things.items()]:
        if decisions.of(root, path.encode()).action == "delete":
            _remove(disk, root, path)
            disk.touched.add(((root, path), "delete"))
    for (root, path), thing in sorted(disk_of(snapshot).things.items(), key=lambda each: each[0]):
        action = decisions.of(root, path.encode()).action
        if action == "restore":
            _put(disk, root, path, thing)
        elif action == "write":  # over what the snapshot has there, which is no folder
            _make_room(disk, root, path, thing)
    for layer in plan.layers:
        for entry in layer.entries:
            path = path_bytes(entry.path).decode()
            if entry.action == "write":
                assert entry.digest is not None
                _make(disk, entry.root, path, "file")
                disk.contents[entry.root, path] = base64.b64decode(plan.contents[entry.digest])
            elif entry.action == "mkdir":
                _make(disk, entry.root, path, "folder")


def _make(disk: Disk, root: Root, path: str, kind: str) -> None:
    parts = path.split("/")
    assert ".." not in parts
    assert not path.startswith("/")
    for length in range(1, len(parts)):
        above = "/".join(parts[:length])
        there = disk.things.setdefault((root, above), TreeEntry(root, above, "folder"))
        assert there.kind == "folder", f"{path} would be made through {there}"
    there_now = disk.things.get((root, path))
    assert there_now is None or (there_now.kind != "folder" and kind == "file"), f"{there_now} would be lost"
    disk.things[root, path] = TreeEntry(root, path, "file" if kind == "file" else "folder")
    disk.touched.add(((root, path), "write" if kind == "file" else "mkdir"))


def _put(disk: Disk, root: Root, path: str, thing: TreeEntry) -> None:
    _make_room(disk, root, path, thing)
    disk.things[root, path] = thing


def _make_room(disk: Disk, root: Root, path: str, thing: TreeEntry) -> None:
    there = disk.things.get((root, path))
    if there is not None and there.kind != thing.kind:
        _remove(disk, root, path)


def _remove(disk: Disk, root: Root, path: str) -> None:
    for of, below in [*disk.things]:
        if of == root and (below == path or below.startswith(f"{path}/")):
            del disk.things[of, below]

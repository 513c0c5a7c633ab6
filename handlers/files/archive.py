"""Choose what a zip of a folder holds, with names that no program unpacks outside of where it was told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from handlers.files.preview import safe_name
from handlers.files.tree import Content, SnapshotTree, moment, split_path
from schema.errors import NotFound, TooLarge
from schema.snapshot_manifest import File, Folder, HardLink, Symlink

MOST_MEMBERS = 50_000
MOST_BYTES = 4 << 30
"""Bytes of all files, holes included."""


class ArchiveTooLarge(TooLarge):
    """The folder has too many files or bytes for one archive. Choose a smaller folder."""

    code: ClassVar[str] = "archive_too_large"


@dataclass(frozen=True)
class Member:
    """A file of the archive, or a folder, which has no content."""

    name: str
    mtime: datetime
    content: Content | None


@dataclass(frozen=True)
class ArchivePlan:
    """The members, files of one pack together. Symbolic links are left out and counted: they may lead outside. So are
    `denied` files, which policies deny."""

    name: str
    members: list[Member]
    left_out: int
    denied: int

    @property
    def bytes(self) -> int:
        return sum(member.content.size for member in self.members if member.content)


def plan_archive(tree: SnapshotTree, folder: str, *, allows: Callable[[str], bool] = lambda _path: True) -> ArchivePlan:
    """Plan the archive of what is allowed of a folder. Raises NotFound and ArchiveTooLarge."""
    if not tree.has_folder(folder):
        raise NotFound("The snapshot has no such folder.", code="unknown_path")
    top = safe_name(folder) if folder else tree.root
    names = {folder: top}
    taken = {top.casefold(): 1}
    members, left_out, denied, size = [], 0, 0, 0
    for entry in tree.below(folder):
        if isinstance(entry, Symlink):
            left_out += 1
            continue
        is_denied = not allows(entry.path)
        if is_denied and not isinstance(entry, Folder):
            denied += 1
            continue
        name = _free_name(f"{names[split_path(entry.path)[0]]}/{safe_name(entry.path)}", taken)
        if isinstance(entry, Folder):
            names[entry.path] = name
            if not is_denied:
                members.append(Member(f"{name}/", moment(entry.mtime_ns), None))
        else:
            content = tree.linked(entry) if isinstance(entry, HardLink) else entry
            size += content.size
            members.append(Member(name, moment(content.mtime_ns), content))
        if len(members) > MOST_MEMBERS or size > MOST_BYTES:
            raise ArchiveTooLarge
    members.sort(key=_by_pack)
    return ArchivePlan(top, members, left_out, denied)


def _free_name(name: str, taken: dict[str, int]) -> str:
    """Return a name that no other member has, also where case does not count. `taken` counts the uses of each."""
    free = name
    while (folded := free.casefold()) in taken:
        taken[name.casefold()] += 1
        free = f"{name} ({taken[name.casefold()]})"
    taken[folded] = 1
    return free


def _by_pack(member: Member) -> tuple[int, int, int]:
    """Folders first, then files in the order of their packs."""
    if member.content is None:
        return (0, 0, 0)
    return (1, member.content.pack, member.content.offset) if isinstance(member.content, File) else (2, 0, 0)

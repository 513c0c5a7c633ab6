"""What is there below a root now, by lstat alone: nothing is read, no link followed, nothing waited for.

It goes by the paths of a tree one time only, and compares each with the last scan on the way: what is as it was is the
same entry again.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from executor.snapshotter.ignore import STAGING, Ignores
from executor.snapshotter.index import KnownEntry, Stamp, is_unchanged
from executor.snapshotter.paths import FOLDER, open_below
from executor.snapshotter.temporary_access import OpenedFolders
from schema.snapshot_manifest import (
    EARLIEST,
    ENCODED,
    LATEST,
    MAX_PATH_BYTES,
    Entry,
    Folder,
    HardLink,
    Symlink,
    path_text,
)

_KINDS = {stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
_KIND, _BITS = 0o170000, 0o7777
_NOT_OPEN = {
    errno.ENOENT: "",
    errno.ENOTDIR: "changing",
    errno.ELOOP: "changing",
    errno.EACCES: "unreadable",
    errno.EPERM: "unreadable",
}
"""Why there is nothing to be seen of a folder, as it is said to the user."""

_name = attrgetter("name")


@dataclass
class Scan:
    """A root's part of a snapshot. `entries` has folders before what is in them, and None for each file that has to be
    read: `unread` are the numbers and paths (text as of os.fsdecode) of these. `stamps` by path (text as in manifests);
    `skipped` are (path, reason).
    """

    entries: list[Entry | None] = field(default_factory=list)
    unread: list[tuple[int, str]] = field(default_factory=list)
    stamps: dict[str, Stamp] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    first_of: dict[tuple[int, int], str] = field(default_factory=dict)
    """By device and inode: the first of the paths that are one file."""
    replaced: set[str] = field(default_factory=set)
    """Of these first paths: where another file was read than was seen before."""

    @property
    def present(self) -> list[Entry]:
        return [entry for entry in self.entries if entry is not None]


def scan(
    root: int,
    *,
    known: Mapping[str, KnownEntry],
    ignores: Ignores | None,
    opened: OpenedFolders,
    tick: Callable[[int], None] = lambda _: None,
) -> Scan:
    """All below the root's descriptor. `known` is believed of files that are still as it says. `tick` is told now and
    then how many paths there are so far. Folders that must be `opened` up are to stay so until they are read."""
    result = Scan()
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        inner = _scan_folder(root, folder, known, ignores, result, opened)
        waiting.extend(reversed(inner))
        tick(len(result.entries))
    return result


def scan_kept(
    root: int, *, known: Mapping[str, KnownEntry], keep: Iterable[str], drop: frozenset[str], opened: OpenedFolders
) -> Scan:
    """Only the paths of `keep` and all below them, with the folders that lead there; nothing that is in `drop`."""
    kept = frozenset(keep)
    above = {"/".join(path.split("/")[:count]) for path in kept for count in range(1, path.count("/") + 1)}

    def ignores(path: str, _name: str, _is_folder: bool) -> bool:  # noqa: FBT001 - called for every path
        return path in drop or not (path in above or is_kept(path, kept))

    return scan(root, known=known, ignores=ignores, opened=opened)


def is_kept(path: str, kept: frozenset[str]) -> bool:
    """Whether the path is one of these or below one."""
    while path:
        if path in kept:
            return True
        path = path.rpartition("/")[0]
    return False


def text_of(path: str) -> str:
    """A path of the scan as in manifests."""
    return path if path.isascii() and not path.startswith(ENCODED) else path_text(os.fsencode(path))


def time_within(mtime_ns: int) -> int:
    """The time itself, or the nearest that a manifest can hold."""
    return min(max(mtime_ns, EARLIEST), LATEST)


def _scan_folder(
    root: int,
    folder: str,
    known: Mapping[str, KnownEntry],
    ignores: Ignores | None,
    result: Scan,
    opened: OpenedFolders,
) -> list[str]:
    """The folders in it."""
    before = len(result.entries)
    try:
        return _look_into(root, folder, known, ignores, result)
    except OSError as error:
        if not folder or error.errno not in _NOT_OPEN:
            raise  # a folder that is only not to be had now must not count as an empty one
        is_closed = isinstance(error, PermissionError) and len(result.entries) == before
        if is_closed and opened.open_up(os.fsencode(folder)):
            return _scan_folder(root, folder, known, ignores, result, opened)
        reason = _NOT_OPEN[error.errno]
        if reason:
            result.skipped.append((folder, reason))
        return []


def _look_into(
    root: int, folder: str, known: Mapping[str, KnownEntry], ignores: Ignores | None, result: Scan
) -> list[str]:
    descriptor = open_below(root, os.fsencode(folder), FOLDER)
    try:
        with os.scandir(descriptor) as listing:
            return _list_folder(descriptor, folder, sorted(listing, key=_name), known, ignores, result)
    finally:
        os.close(descriptor)


def _list_folder(  # noqa: C901 - the inner loop of every save: a call for each path would cost as much again
    descriptor: int,
    folder: str,
    names: list[os.DirEntry[str]],
    known: Mapping[str, KnownEntry],
    ignores: Ignores | None,
    result: Scan,
) -> list[str]:
    prefix, folders, entries = f"{folder}/" if folder else "", [], result.entries
    for one in names:
        path = prefix + one.name
        try:
            seen = one.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        kind = seen.st_mode & _KIND
        if ignores is not None and ignores(path, one.name, kind == stat.S_IFDIR):
            continue
        if path == STAGING:
            result.skipped.append((path, "reserved"))
            continue
        text = path if path.isascii() and not path.startswith(ENCODED) else text_of(path)
        before = known.get(text)
        if before is None and len(path) > MAX_PATH_BYTES // 4 and len(os.fsencode(path)) > MAX_PATH_BYTES:
            result.skipped.append((path, "too_long"))
        elif kind == stat.S_IFREG:
            first = text if seen.st_nlink == 1 else result.first_of.setdefault((seen.st_dev, seen.st_ino), text)
            if first != text:
                entries.append(_once(HardLink(text, first), before))
            elif before is not None and is_unchanged(seen, before):
                entries.append(before[0])
                result.stamps[text] = before[1]
            else:
                result.unread.append((len(entries), path))
                entries.append(None)
        elif kind == stat.S_IFDIR:
            folders.append(path)
            entries.append(_once(Folder(text, seen.st_mode & _BITS, time_within(seen.st_mtime_ns)), before))
        elif kind == stat.S_IFLNK:
            target = _target(descriptor, one.name)
            if target:
                entries.append(_once(Symlink(text, time_within(seen.st_mtime_ns), text_of(target)), before))
        else:
            result.skipped.append((path, _KINDS.get(kind, "device")))
    return folders


def _once(entry: Entry, before: KnownEntry | None) -> Entry:
    """The entry of the last scan itself where this is the same: what changed is counted by who is who."""
    return before[0] if before is not None and before[0] == entry else entry


def _target(descriptor: int, name: str) -> str:
    """Empty when it is no link any more."""
    try:
        return os.readlink(name, dir_fd=descriptor)
    except OSError:
        return ""

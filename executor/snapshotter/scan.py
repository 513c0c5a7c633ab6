"""Scan a root by lstat alone: read no file, follow no link, wait for nothing.

The scan visits each path once and compares it with the last scan. An unchanged path keeps the same entry object.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from executor.set_aside_names import SET_ASIDE, is_dropped
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
    File,
    Folder,
    HardLink,
    LargeFile,
    Symlink,
    path_bytes,
    path_text,
)
from schema.workspace_api import LEFT_OUT_OF_HOME

_KINDS = {stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
_KIND, _BITS = 0o170000, 0o7777
_NOT_OPEN = {
    errno.ENOENT: "",
    errno.ENOTDIR: "changing",
    errno.ELOOP: "changing",
    errno.EACCES: "unreadable",
    errno.EPERM: "unreadable",
}
"""The reason reported to the user for a folder that cannot be listed."""

_name = attrgetter("name")


@dataclass
class Scan:
    """One root's part of a snapshot.

    `entries` lists folders before their content, with None for each file to read. `unread` holds the numbers and paths
    (text as of os.fsdecode) of these. `stamps` are by path (text as in manifests); `skipped` holds (path, reason).
    """

    entries: list[Entry | None] = field(default_factory=list)
    unread: list[tuple[int, str]] = field(default_factory=list)
    stamps: dict[str, Stamp] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    first_of: dict[tuple[int, int], str] = field(default_factory=dict)
    """By device and inode: the first path of each file with several names."""
    replaced: set[str] = field(default_factory=set)
    """First paths under which a file other than the scanned one was read."""

    @property
    def present(self) -> list[Entry]:
        return [entry for entry in self.entries if entry is not None]

    @property
    def files(self) -> list[tuple[int, str]]:
        """The number and path (text as of os.fsdecode) of each regular file, read or not."""
        read = (
            (number, os.fsdecode(path_bytes(entry.path)))
            for number, entry in enumerate(self.entries)
            if isinstance(entry, File | LargeFile | HardLink)
        )
        return list(dict([*self.unread, *read]).items())

    @property
    def left_out(self) -> set[str]:
        """The paths of files that are left out for a secret value."""
        return {path for path, reason in self.skipped if reason == LEFT_OUT_OF_HOME}


def scan(
    root: int,
    *,
    known: Mapping[str, KnownEntry],
    ignores: Ignores | None,
    opened: OpenedFolders,
    tick: Callable[[int], None] = lambda _: None,
) -> Scan:
    """Scan everything below the root's descriptor.

    `known` is trusted for files that still match it. `tick` receives the number of paths so far. Folders that had to be
    `opened` stay so until their files are read.
    """
    result = Scan()
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        inner = _scan_folder(root, folder, known, ignores, result, opened)
        waiting.extend(reversed(inner))
        tick(len(result.entries))
    return result


def scan_home(
    root: int, *, known: Mapping[str, KnownEntry], keep: Iterable[str], drop: frozenset[str], opened: OpenedFolders
) -> Scan:
    """Scan only the paths of `keep`, everything below and the folders on the way. Nothing in `drop` is scanned,
    nor what an executor has set aside of it."""
    covered = frozenset(keep)
    above = {"/".join(path.split("/")[:count]) for path in covered for count in range(1, path.count("/") + 1)}

    def ignores(path: str, _name: str, _is_folder: bool) -> bool:  # noqa: FBT001 - the scan calls it for every path
        is_out = path in drop or (SET_ASIDE in path and is_dropped(path, drop))
        return is_out or not (path in above or is_covered(path, covered))

    return scan(root, known=known, ignores=ignores, opened=opened)


def is_covered(path: str, covered: frozenset[str]) -> bool:
    """Tell whether the path is one of `kept` or below one."""
    while path:
        if path in covered:
            return True
        path = path.rpartition("/")[0]
    return False


def text_of(path: str) -> str:
    """Return a path of the scan in the manifest's spelling."""
    return path if path.isascii() and not path.startswith(ENCODED) else path_text(os.fsencode(path))


def time_within(mtime_ns: int) -> int:
    """Return the time, or the nearest one that a manifest can hold."""
    return min(max(mtime_ns, EARLIEST), LATEST)


def _scan_folder(
    root: int,
    folder: str,
    known: Mapping[str, KnownEntry],
    ignores: Ignores | None,
    result: Scan,
    opened: OpenedFolders,
) -> list[str]:
    """Add the folder's content to `result` and return the folders in it."""
    before = len(result.entries)
    try:
        return _list_below(root, folder, known, ignores, result)
    except OSError as error:
        if not folder or error.errno not in _NOT_OPEN:
            raise  # a folder that cannot be listed now must not count as an empty one
        is_closed = isinstance(error, PermissionError) and len(result.entries) == before
        if is_closed and opened.open_up(os.fsencode(folder)):
            return _scan_folder(root, folder, known, ignores, result, opened)
        reason = _NOT_OPEN[error.errno]
        if reason:
            result.skipped.append((folder, reason))
        return []


def _list_below(
    root: int, folder: str, known: Mapping[str, KnownEntry], ignores: Ignores | None, result: Scan
) -> list[str]:
    descriptor = open_below(root, os.fsencode(folder), FOLDER)
    try:
        with os.scandir(descriptor) as listing:
            return _list_folder(descriptor, folder, sorted(listing, key=_name), known, ignores, result)
    finally:
        os.close(descriptor)


def _list_folder(  # noqa: C901 - the inner loop of every save: one call a path would double its cost
    descriptor: int,
    folder: str,
    names: list[os.DirEntry[str]],
    known: Mapping[str, KnownEntry],
    ignores: Ignores | None,
    result: Scan,
) -> list[str]:
    prefix, folders, entries = f"{folder}/" if folder else "", [], result.entries
    for item in names:
        path = prefix + item.name
        try:
            seen = item.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        kind = seen.st_mode & _KIND
        if ignores is not None and ignores(path, item.name, kind == stat.S_IFDIR):
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
                entries.append(_same_object(HardLink(text, first), before))
            elif before is not None and is_unchanged(seen, before):
                entries.append(before[0])
                result.stamps[text] = before[1]
            else:
                result.unread.append((len(entries), path))
                entries.append(None)
        elif kind == stat.S_IFDIR:
            folders.append(path)
            entries.append(_same_object(Folder(text, seen.st_mode & _BITS, time_within(seen.st_mtime_ns)), before))
        elif kind == stat.S_IFLNK:
            target = _target(descriptor, item.name)
            if target:
                entries.append(_same_object(Symlink(text, time_within(seen.st_mtime_ns), text_of(target)), before))
        else:
            result.skipped.append((path, _KINDS.get(kind, "device")))
    return folders


def _same_object(entry: Entry, before: KnownEntry | None) -> Entry:
    """Return the last scan's entry object when it is equal, because changes are counted by identity."""
    return before[0] if before is not None and before[0] == entry else entry


def _target(descriptor: int, name: str) -> str:
    """Return a link's target, or an empty string when it is no longer a link."""
    try:
        return os.readlink(name, dir_fd=descriptor)
    except OSError:
        return ""

"""What is there below a root now, by lstat alone: nothing is read, no link followed, nothing waited for."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from executor.saving.ignore import STAGING, Ignores
from executor.saving.paths import FOLDER, open_below
from schema.snapshot_manifest import ENCODED, MAX_PATH_BYTES, path_text

_KINDS = {stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}

_name = attrgetter("name")


class Found(NamedTuple):
    """One path (text as of os.fsdecode). `target` is a symlink's. Times are in nanoseconds, `blocks` in 512 bytes."""

    path: str
    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    links: int
    blocks: int
    target: str | None = None

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)


@dataclass
class Scan:
    """`found` has folders before what is in them. `skipped` are (path, reason)."""

    found: list[Found] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def scan(root: int, *, ignores: Ignores | None, tick: Callable[[int], None] = lambda _: None) -> Scan:
    """All below the root's descriptor. `tick` is told now and then how many there are so far."""
    result = Scan()
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        inner = _scan_folder(root, folder, ignores, result)
        waiting.extend(reversed(inner))
        tick(len(result.found))
    return result


def scan_kept(root: int, *, keep: Iterable[str], drop: frozenset[str]) -> Scan:
    """Only the paths of `keep` and all below them, with the folders that lead there; nothing that is in `drop`."""
    kept = frozenset(keep)
    above = {"/".join(path.split("/")[:count]) for path in kept for count in range(1, path.count("/") + 1)}

    def ignores(path: str, _name: str, _is_folder: bool) -> bool:  # noqa: FBT001 - called for every path
        return path in drop or not (path in above or is_kept(path, kept))

    return scan(root, ignores=ignores)


def is_kept(path: str, kept: frozenset[str]) -> bool:
    """Whether the path is one of these or below one."""
    while path:
        if path in kept:
            return True
        path = path.rpartition("/")[0]
    return False


def is_plain(path: str) -> bool:
    """Whether manifests spell it just so; of others `text_of` says how."""
    return path.isascii() and not path.startswith(ENCODED)


def text_of(path: str) -> str:
    """A path of the scan as in manifests."""
    return path if is_plain(path) else path_text(os.fsencode(path))


def _scan_folder(root: int, folder: str, ignores: Ignores | None, result: Scan) -> list[str]:
    """The folders in it."""
    try:
        descriptor = open_below(root, os.fsencode(folder), FOLDER)
    except OSError as error:
        if error.errno != errno.ENOENT and folder:
            denied = error.errno in (errno.EACCES, errno.EPERM)
            result.skipped.append((folder, "unreadable" if denied else "changing"))
        return []
    try:
        with os.scandir(descriptor) as listing:
            return _list_folder(descriptor, folder, sorted(listing, key=_name), ignores, result)
    finally:
        os.close(descriptor)


def _list_folder(  # noqa: C901 - the inner loop of every save: a call for each path would cost as much again
    descriptor: int, folder: str, entries: list[os.DirEntry[str]], ignores: Ignores | None, result: Scan
) -> list[str]:
    prefix, folders, found = f"{folder}/" if folder else "", [], result.found
    for entry in entries:
        path = prefix + entry.name
        try:
            seen = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        mode = seen.st_mode
        kind = stat.S_IFMT(mode)
        if ignores is not None and ignores(path, entry.name, kind == stat.S_IFDIR):
            continue
        target = None
        if kind == stat.S_IFDIR:
            if path == STAGING:
                continue
            folders.append(path)
        elif kind == stat.S_IFLNK:
            target = _target(descriptor, entry.name)
        elif kind != stat.S_IFREG:
            result.skipped.append((path, _KINDS.get(kind, "device")))
            continue
        if target == "":
            continue
        if len(path) > MAX_PATH_BYTES // 4 and len(os.fsencode(path)) > MAX_PATH_BYTES:
            result.skipped.append((path, "too_long"))
            if kind == stat.S_IFDIR:
                folders.pop()
            continue
        found.append(
            Found(
                path,
                mode,
                seen.st_size,
                seen.st_mtime_ns,
                seen.st_ctime_ns,
                seen.st_ino,
                seen.st_dev,
                seen.st_nlink,
                seen.st_blocks,
                target,
            )
        )
    return folders


def _target(descriptor: int, name: str) -> str:
    """Empty when it is no link any more."""
    try:
        return os.readlink(name, dir_fd=descriptor)
    except OSError:
        return ""

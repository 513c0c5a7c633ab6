"""Stage a restore in a folder below the root, then move everything into place. A failed move is rolled back."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from executor.snapshotter.ignore import STAGING
from executor.snapshotter.index import Stamp
from executor.snapshotter.paths import CREATE, FOLDER, open_below, opened, split
from executor.snapshotter.protocol import SnapshotterFailed
from executor.snapshotter.temporary_access import OpenedFolders, open_up

_NAME = STAGING.encode()
_NEW, _OLD, _GONE = b"new", b"old", b"gone"
_TRIES = 100
_ALL = 0o700
"""The mode bits that an owner needs to merge and move a folder."""


class PathBlocked(SnapshotterFailed):
    """A file or folder of the plan cannot replace what exists at its path."""

    code = "path_blocked"


class Staging:
    """Stage one root. A restore writes below the descriptor `new`, whose folders stay writable until the end.

    `snapshot_folders` are folders of the snapshot: they replace any other file at their path. All other folders only
    lead to an entry, and a path with another file there is refused. `stamps` are those of written files by path (text);
    `touched` are files whose stamp is outdated.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        remove_staging(root)
        os.mkdir(_NAME, 0o700, dir_fd=root)
        self._own = open_below(root, _NAME, FOLDER)
        for name in (_NEW, _OLD):
            os.mkdir(name, 0o700, dir_fd=self._own)
        self.new = open_below(self._own, _NEW, FOLDER)
        self._folders = {b""}
        self.snapshot_folders: set[bytes] = set()
        self.stamps: dict[str, Stamp] = {}
        self.touched: set[bytes] = set()
        self._no_folders: set[bytes] = set()
        self._protected: set[bytes] = set()
        self._journal: list[tuple[str, bytes, bytes]] = []
        self._times: dict[bytes, int] = {}
        self._opened_up = OpenedFolders(root, bits=_ALL)
        self._aside_count = 0

    def make_folder(self, path: bytes) -> None:
        """Create a folder in the staging area, with its parents."""
        if path in self._folders:
            return
        folder, name = split(path)
        self.make_folder(folder)
        with opened(self.new, folder) as at:
            os.mkdir(name, 0o700, dir_fd=at)
        self._folders.add(path)

    def write(self, path: bytes, data: bytes, *, mode: int, over_folder: bool = False) -> None:
        """Write a file of the plan's own.

        It replaces an existing folder only where the snapshot has a file: the snapshot wins over what exists.
        """
        folder, name = split(path)
        self.make_folder(folder)
        with opened(self.new, folder) as at:
            descriptor = os.open(name, CREATE, mode, dir_fd=at)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                os.fchmod(descriptor, mode)
        if not over_folder:
            self._no_folders.add(path)

    def protect(self, path: bytes) -> None:
        """Let nothing replace a folder that holds this path."""
        while path:
            self._protected.add(path)
            path = split(path)[0]

    def commit(self) -> None:
        """Move everything into place. When a step fails, roll back and raise its error."""
        try:
            waiting = [b""]
            while waiting:
                waiting.extend(self._merge(waiting.pop()))
            self._open_new_folders()
            self._opened_up.close(but=self.snapshot_folders)  # their modes come from the snapshot later
        except BaseException:
            self.roll_back()
            raise

    def _open_new_folders(self) -> None:
        """Give mode 0755, as mkdir does, to new folders that only lead to an entry."""
        put = {path for kind, path, _ in self._journal if kind == "put"}
        for path in self._folders - self.snapshot_folders - {b""}:
            if _is_covered(path, put):
                with opened(self._root, path) as folder:
                    os.fchmod(folder, 0o755)

    def set_aside(self, path: bytes) -> None:
        """Move the existing path aside, so that a roll-back can return it."""
        folder, name = split(path)
        with _writable(self._root, folder) as at:
            self._set_aside(at, name, path)

    def roll_back(self) -> None:
        """Move everything back, the last first."""
        while self._journal:
            kind, path, other = self._journal.pop()
            folder, name = split(path)
            with contextlib.suppress(OSError), _writable(self._root, folder) as at:
                if kind == "put":
                    os.rename(name, other, src_dir_fd=at, dst_dir_fd=self._own)
                else:
                    os.rename(other, name, src_dir_fd=self._own, dst_dir_fd=at)
        for path, mtime_ns in self._times.items():
            with contextlib.suppress(OSError), opened(self._root, path) as at:
                os.utime(at, ns=(mtime_ns, mtime_ns))
        self._opened_up.close()

    def close(self) -> None:
        """Remove the staging area and everything set aside."""
        os.close(self.new)
        os.close(self._own)
        remove_staging(self._root)

    def _merge(self, folder: bytes) -> list[bytes]:
        """Merge one folder into place. Return the folders that both sides have."""
        both = []
        with opened(self.new, folder) as source, _writable(self._root, folder) as target:
            self._times[folder] = os.fstat(target).st_mtime_ns
            for name in sorted(_names(source)):
                path = folder + b"/" + name if folder else name
                incoming = os.stat(name, dir_fd=source, follow_symlinks=False)
                existing = _lstat(name, target)
                if existing is not None and stat.S_ISDIR(incoming.st_mode) and stat.S_ISDIR(existing.st_mode):
                    if existing.st_mode & _ALL != _ALL:  # otherwise its content could not be merged
                        self._opened_up.open_up(path)
                    both.append(path)
                    continue
                if existing is not None:
                    self._refuse_to_replace(path, incoming, existing)
                    self._set_aside(target, name, path)
                os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
                self._journal.append(("put", path, _NEW + b"/" + path))
                if not stat.S_ISDIR(incoming.st_mode):
                    self.touched.add(path)
        return both

    def _refuse_to_replace(self, path: bytes, incoming: os.stat_result, existing: os.stat_result) -> None:
        only_leads_on = stat.S_ISDIR(incoming.st_mode) and path not in self.snapshot_folders
        is_protected_folder = stat.S_ISDIR(existing.st_mode) and (path in self._no_folders or path in self._protected)
        if only_leads_on or is_protected_folder:
            raise PathBlocked(
                f"The restore plan does not replace the existing {os.fsdecode(path)!r}. Remove it, or change the plan."
            )

    def _set_aside(self, folder: int, name: bytes, path: bytes) -> None:
        self._aside_count += 1
        away = _OLD + b"/%d" % self._aside_count
        try:
            os.rename(name, away, src_dir_fd=folder, dst_dir_fd=self._own)
        except PermissionError:  # the kernel moves no folder that its owner cannot write
            open_up(folder, name, _ALL)
            os.rename(name, away, src_dir_fd=folder, dst_dir_fd=self._own)
        self._journal.append(("set aside", path, away))


def _is_covered(path: bytes, paths: set[bytes]) -> bool:
    while path:
        if path in paths:
            return True
        path = split(path)[0]
    return False


def remove_staging(root: int) -> None:
    """Remove the staging area that a restore left."""
    try:
        existing = os.stat(_NAME, dir_fd=root, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(existing.st_mode):
        empty_folder(root, _NAME)
        os.rmdir(_NAME, dir_fd=root)
    else:
        os.unlink(_NAME, dir_fd=root)


def empty_folder(root: int, path: bytes) -> None:
    """Remove everything below a folder, at any depth: each folder moves to the top before it is emptied."""
    with opened(root, path) as top:
        for _ in range(_TRIES):  # another process may still add files
            waiting = _empty(top, top, [])
            while waiting:
                name = waiting.pop()
                open_up(top, name, _ALL)
                with opened(top, name) as folder:
                    _empty(top, folder, waiting)
                with contextlib.suppress(OSError):
                    os.rmdir(name, dir_fd=top)
            if not _names(top):
                return
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), os.fsdecode(path))


def _empty(top: int, folder: int, waiting: list[bytes]) -> list[bytes]:
    """Unlink the folder's files and move its folders to the top. Their new names are added to `waiting`."""
    for name in _names(folder):
        seen = _lstat(name, folder)
        if seen is None:
            continue
        if not stat.S_ISDIR(seen.st_mode):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
        elif folder == top:
            waiting.append(name)
        else:
            aside = b"%s-%d-%d" % (_GONE, seen.st_ino, len(waiting))
            open_up(folder, name, _ALL)
            os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=top)
            waiting.append(aside)
    return waiting


def _names(folder: int) -> list[bytes]:
    return [os.fsencode(name) for name in os.listdir(folder)]


def _lstat(name: bytes, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _writable(root: int, path: bytes) -> Iterator[int]:
    """Open a folder that exists, writable for its owner until the block ends."""
    with opened(root, path) as folder:
        mode = stat.S_IMODE(os.fstat(folder).st_mode)
        if mode & 0o300 == 0o300:
            yield folder
            return
        os.fchmod(folder, mode | 0o700)
        try:
            yield folder
        finally:
            os.fchmod(folder, mode)

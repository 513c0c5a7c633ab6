"""A folder below a root in which a restore puts everything together before anything that is there is touched; and the
way from there into place, which is undone when it cannot be gone to its end."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from executor.snapshotter.ignore import STAGING
from executor.snapshotter.index import Stamp
from executor.snapshotter.paths import CREATE, FOLDER, open_below, opened, split
from executor.snapshotter.protocol import EngineFailed
from executor.snapshotter.temporary_access import OpenedFolders, open_up

_NAME = STAGING.encode()
_NEW, _OLD, _GONE = b"new", b"old", b"gone"
_TRIES = 100
_ALL = 0o700
"""What its owner needs to merge and move a folder."""


class PathBlocked(EngineFailed):
    """Something else is where a file or folder has to be put."""

    code = "path_blocked"


class Staging:
    """`new` is the descriptor below which a restore writes. Its folders are open for their owner until the end.

    `solid` are folders that the snapshot has, which replace whatever else is in their place; all other folders are only
    on the way to something, and are refused where there is something that is no folder. `stamps` are those of the files
    written, by path (text); `touched` are files of which they are no longer true.
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
        self.solid: set[bytes] = set()
        self.stamps: dict[str, Stamp] = {}
        self.touched: set[bytes] = set()
        self._no_folders: set[bytes] = set()
        self._protected: set[bytes] = set()
        self._done: list[tuple[str, bytes, bytes]] = []
        self._times: dict[bytes, int] = {}
        self._opened_up = OpenedFolders(root, bits=_ALL)
        self._taken = 0

    def make_folder(self, path: bytes) -> None:
        """With those above it."""
        if path in self._folders:
            return
        folder, name = split(path)
        self.make_folder(folder)
        with opened(self.new, folder) as at:
            os.mkdir(name, 0o700, dir_fd=at)
        self._folders.add(path)

    def write(self, path: bytes, data: bytes, *, mode: int, over_folder: bool = False) -> None:
        """A file of the plan's own. It takes the place of a folder only where the snapshot, which goes before what is
        there, has a file."""
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
        """Nothing that holds this may be replaced."""
        while path:
            self._protected.add(path)
            path = split(path)[0]

    def settle(self) -> None:
        """Move everything into place. When something fails, all is as before, and the error is raised."""
        try:
            waiting = [b""]
            while waiting:
                waiting.extend(self._merge(waiting.pop()))
            self._open_new_folders()
            self._opened_up.close(but=self.solid)  # these get the snapshot's modes later
        except BaseException:
            self.undo()
            raise

    def _open_new_folders(self) -> None:
        """Those that are only on the way to something, and were not there: 0755, as mkdir makes them."""
        put = {path for kind, path, _ in self._done if kind == "put"}
        for path in self._folders - self.solid - {b""}:
            if _is_at_or_below(path, put):
                with opened(self._root, path) as folder:
                    os.fchmod(folder, 0o755)

    def take_away(self, path: bytes) -> None:
        """Remove what is there, such that it can come back."""
        folder, name = split(path)
        with _writable(self._root, folder) as at:
            self._take(at, name, path)

    def undo(self) -> None:
        """Put back what was moved, the last first."""
        while self._done:
            kind, path, other = self._done.pop()
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
        """Nothing of it is left, nor of what was taken away."""
        os.close(self.new)
        os.close(self._own)
        remove_staging(self._root)

    def _merge(self, folder: bytes) -> list[bytes]:
        """The folders that both sides have."""
        both = []
        with opened(self.new, folder) as source, _writable(self._root, folder) as target:
            self._times[folder] = os.fstat(target).st_mtime_ns
            for name in sorted(_names(source)):
                path = folder + b"/" + name if folder else name
                coming = os.stat(name, dir_fd=source, follow_symlinks=False)
                there = _lstat(name, target)
                if there is not None and stat.S_ISDIR(coming.st_mode) and stat.S_ISDIR(there.st_mode):
                    if there.st_mode & _ALL != _ALL:  # else neither it nor what is in it could be merged
                        self._opened_up.open_up(path)
                    both.append(path)
                    continue
                if there is not None:
                    self._refuse_to_replace(path, coming, there)
                    self._take(target, name, path)
                os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
                self._done.append(("put", path, _NEW + b"/" + path))
                if not stat.S_ISDIR(coming.st_mode):
                    self.touched.add(path)
        return both

    def _refuse_to_replace(self, path: bytes, coming: os.stat_result, there: os.stat_result) -> None:
        on_the_way = stat.S_ISDIR(coming.st_mode) and path not in self.solid
        a_whole_folder = stat.S_ISDIR(there.st_mode) and (path in self._no_folders or path in self._protected)
        if on_the_way or a_whole_folder:
            raise PathBlocked(f"There is something else at {os.fsdecode(path)!r}, which the plan does not replace.")

    def _take(self, folder: int, name: bytes, path: bytes) -> None:
        self._taken += 1
        away = _OLD + b"/%d" % self._taken
        try:
            os.rename(name, away, src_dir_fd=folder, dst_dir_fd=self._own)
        except PermissionError:  # a folder that its owner may not write cannot change its place
            open_up(folder, name, _ALL)
            os.rename(name, away, src_dir_fd=folder, dst_dir_fd=self._own)
        self._done.append(("took", path, away))


def _is_at_or_below(path: bytes, places: set[bytes]) -> bool:
    while path:
        if path in places:
            return True
        path = split(path)[0]
    return False


def remove_staging(root: int) -> None:
    """What a restore left behind."""
    try:
        there = os.stat(_NAME, dir_fd=root, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(there.st_mode):
        empty_folder(root, _NAME)
        os.rmdir(_NAME, dir_fd=root)
    else:
        os.unlink(_NAME, dir_fd=root)


def empty_folder(root: int, path: bytes) -> None:
    """Remove all that is below. However deep it is: each folder first moves to the top, then is emptied itself."""
    with opened(root, path) as top:
        for _ in range(_TRIES):  # somebody may still be putting things in
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
    """Unlink what is in the folder, and move the folders in it to the top, under names that are added to `waiting`."""
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
    """A folder in place, for its owner to write in until the end of the block."""
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

"""Open up paths that their owner cannot access (a folder of mode 644, a file of mode 000) while a save needs them.

The original mode is recorded first and set again afterwards. A process that is not the owner changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Set

from executor.snapshotter.paths import opened, split

_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class OpenedFolders:
    """Give the owner the rights `bits` on folders below a root's descriptor until `close`. Without `may_open` it
    changes none."""

    def __init__(self, root: int, *, bits: int, may_open: bool = True) -> None:
        self._root = root
        self._bits = bits
        self._may_open = may_open
        self._modes: dict[bytes, int] = {}

    def __enter__(self) -> OpenedFolders:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open_up(self, path: bytes) -> bool:
        """Open up a folder. Return whether it changed, so that the caller may retry."""
        if not self._may_open or path in self._modes:
            return False
        above, name = split(path)
        try:
            with opened(self._root, above) as folder:
                self._modes[path] = open_up(folder, name, self._bits)
        except OSError:
            return False
        return True

    def close(self, *, but: Set[bytes] = frozenset()) -> None:
        """Restore the modes, the deepest first, because a closed folder blocks the way below. Folders in `but` are left
        open."""
        for path, mode in reversed(self._modes.items()):
            if path not in but:
                with contextlib.suppress(OSError), opened(self._root, path, _HANDLE) as folder:
                    os.chmod(_itself(folder), mode)
        self._modes.clear()


def open_up(folder: int, name: bytes, bits: int) -> int:
    """Give a folder's owner these rights and return the folder's former mode. A link is refused."""
    handle = os.open(name, _HANDLE | os.O_DIRECTORY, dir_fd=folder)
    try:
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        if mode & bits != bits:
            os.chmod(_itself(handle), mode | bits)
        return mode
    finally:
        os.close(handle)


def open_closed_file(folder: int, name: str, flags: int) -> int:
    """Return a descriptor of a regular file that its owner lacks the permission to open. Raises OSError."""
    handle = os.open(name, _HANDLE, dir_fd=folder)
    try:
        seen = os.fstat(handle)
        if not stat.S_ISREG(seen.st_mode):
            raise FileNotFoundError(name)
        os.chmod(_itself(handle), stat.S_IMODE(seen.st_mode) | 0o400)
        try:
            return os.open(_itself(handle), flags & ~os.O_NOFOLLOW)
        finally:
            os.chmod(_itself(handle), stat.S_IMODE(seen.st_mode))
    finally:
        os.close(handle)


def _itself(handle: int) -> str:
    """Return the only path to a file opened with O_PATH. A file that has since taken its name is not touched."""
    return f"/proc/self/fd/{handle}"

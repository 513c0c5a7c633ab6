"""What its owner himself may not look into (a folder of mode 644, a file of mode 000) is opened up while it is read.

Its mode is written down before that, and is what it has again afterwards. Who is not the owner changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import stat

from executor.saving.paths import opened

_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class OpenedFolders:
    """Folders below a root's descriptor that are opened up until the end of the block; none unless `may_open`."""

    def __init__(self, root: int, *, may_open: bool) -> None:
        self.may_open = may_open
        self._root = root
        self._modes: dict[bytes, int] = {}

    def __enter__(self) -> OpenedFolders:
        return self

    def __exit__(self, *_: object) -> None:
        """The deepest first: one that is closed again leads nowhere."""
        for path, mode in reversed(self._modes.items()):
            with contextlib.suppress(OSError), opened(self._root, path, _HANDLE) as folder:
                os.chmod(_itself(folder), mode)

    def open_up(self, path: bytes) -> bool:
        """Whether it can be tried once more now."""
        if not self.may_open or path in self._modes:
            return False
        try:
            with opened(self._root, path, _HANDLE | os.O_DIRECTORY) as folder:
                mode = stat.S_IMODE(os.fstat(folder).st_mode)
                os.chmod(_itself(folder), mode | 0o500)
        except OSError:
            return False
        self._modes[path] = mode
        return True


def open_closed_file(folder: int, name: str, flags: int) -> int:
    """A descriptor of a regular file that its owner may not open. Raises OSError."""
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
    """The only way to what was opened by O_PATH; whatever has its name by now is not touched."""
    return f"/proc/self/fd/{handle}"

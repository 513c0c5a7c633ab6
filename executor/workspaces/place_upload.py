"""Write an upload into the workspace: below it, through no link, and never over a file that exists."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from executor.snapshotter.paths import CREATE, FOLDER, open_below, open_root, opened, split
from executor.workspaces.live_files import located
from schema.errors import Conflict, Invalid
from schema.live_files import UploadPlaced

_BLOCKED = (errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EACCES, errno.EPERM)
_FULL = (errno.ENOSPC, errno.EDQUOT)


class UploadBlocked(Conflict):
    """A link or a file is where the upload's folder belongs. Remove it."""

    code: ClassVar[str] = "path_blocked"


class DiskFull(Conflict):
    """The worker's disk is full. Free space, then try again."""

    code: ClassVar[str] = "disk_full"


def place_upload(workspace: Path, path: str, content: bytes) -> UploadPlaced:
    """Write the file whole or not at all; an existing one stays as it is. Call this as the agent's account.

    Raises Invalid, UploadBlocked and DiskFull.
    """
    below = located(path)
    folder, name = split(below)
    if not name:
        raise Invalid("The path names no file.", code="bad_path")
    root = open_root(os.fsencode(workspace))
    try:
        _make_folders(root, folder)
        with opened(root, folder) as at:
            return UploadPlaced(path=path, written=_write(at, name, content))
    except OSError as error:
        if error.errno in _BLOCKED:
            raise UploadBlocked from None
        if error.errno in _FULL:
            raise DiskFull from None
        raise
    finally:
        os.close(root)


def _make_folders(root: int, folder: bytes) -> None:
    parts = folder.split(b"/") if folder else []
    for count in range(len(parts)):
        above, name = b"/".join(parts[:count]), parts[count]
        with opened(root, above) as at, suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=at)
    os.close(open_below(root, folder, FOLDER))


def _write(folder: int, name: bytes, content: bytes) -> bool:
    """Write under another name first, then link: a reader never sees half of the file. Return whether it is new."""
    part = b".%s.part" % secrets.token_hex(8).encode()
    descriptor = os.open(part, CREATE, 0o644, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
        os.link(part, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        return False
    finally:
        os.unlink(part, dir_fd=folder)
    return True

"""Open files below a folder and nowhere else: follow no symbolic link, even when another process swaps one in.

Linux's openat2 does it in one call (RESOLVE_BENEATH). A kernel or sandbox without it gets a walk, component by
component. Paths are bytes, relative and safe (schema.snapshot_manifest.is_safe_path); `b""` is the folder itself.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_OPENAT2 = 437
_RESOLVE = 0x02 | 0x04 | 0x08  # NO_MAGICLINKS, NO_SYMLINKS, BENEATH
_AT_FDCWD = -100
_TRIES = 20

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Opening a FIFO with these flags never blocks. Callers check the file type after opening."""
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
WRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)


def open_root(path: bytes) -> int:
    """Open the root folder. A symbolic link is refused."""
    return os.open(path, FOLDER)


def open_below(root: int, path: bytes, flags: int, mode: int = 0) -> int:
    """Return a descriptor. Raises OSError: ELOOP or ENOTDIR for a link on the way, EXDEV for a path that leaves the
    root."""
    return (_open_at_once if _has_openat2 else open_step_by_step)(root, path, flags, mode)


@contextmanager
def opened(root: int, path: bytes, flags: int = FOLDER, mode: int = 0) -> Iterator[int]:
    """Open below the root for the length of the block."""
    descriptor = open_below(root, path, flags, mode)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_there(root: int, path: bytes) -> bool:
    """Tell whether the path exists. A symbolic link counts as itself."""
    folder, name = split(path)
    try:
        with opened(root, folder) as at:
            os.stat(name, dir_fd=at, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise
    return True


def split(path: bytes) -> tuple[bytes, bytes]:
    """Return the folder and the last name of a path."""
    folder, _, name = path.rpartition(b"/")
    return folder, name


def flush_file_system(root: int) -> None:
    """Flush everything written to this folder's file system to its disk. Raises OSError when that fails."""
    if _libc.syncfs(root) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def free_bytes(root: int) -> int:
    """Return how many bytes an unprivileged process may still write to this folder's file system."""
    about = os.fstatvfs(root)
    return about.f_bavail * about.f_frsize


def _open_at_once(root: int, path: bytes, flags: int, mode: int = 0) -> int:
    how, number = _how(flags, mode), 0
    for _ in range(_TRIES):
        descriptor = _syscall(_OPENAT2, root, path or b".", ctypes.addressof(how), ctypes.sizeof(how))
        if descriptor >= 0:
            return int(descriptor)
        number = ctypes.get_errno()
        if number not in (errno.EAGAIN, errno.EINTR):  # EAGAIN: another process renamed something during the lookup
            break
    raise OSError(number, os.strerror(number), os.fsdecode(path))


@functools.cache
def _how(flags: int, mode: int) -> _How:
    """Build the argument of openat2. It can be shared, because the kernel only reads it."""
    return _How(flags, mode, _RESOLVE)


def open_step_by_step(root: int, path: bytes, flags: int, mode: int = 0) -> int:
    """Do the same as `open_below`, without openat2."""
    *folders, name = path.split(b"/") if path else [b"."]
    if b".." in folders or name == b"..":
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), os.fsdecode(path))
    at = os.dup(root)
    try:
        for folder in folders:
            at, before = os.open(folder, FOLDER | os.O_PATH, dir_fd=at), at
            os.close(before)
        return os.open(name, flags | os.O_NOFOLLOW, mode, dir_fd=at)
    finally:
        os.close(at)


def _probe() -> bool:
    try:
        os.close(_open_at_once(_AT_FDCWD, b".", FOLDER | os.O_PATH))
    except OSError as error:
        return error.errno not in (errno.ENOSYS, errno.EPERM, errno.EINVAL)
    return True


_has_openat2 = _probe()


def open_folder(root: int, folder: str) -> int:
    """Open a folder. Return -1 when it is gone or no longer a folder."""
    try:
        return open_below(root, os.fsencode(folder), FOLDER)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES):
            return -1
        raise


def in_folders(root: int, files: Iterable[tuple[int, str]]) -> Iterator[tuple[int, int, str]]:
    """Yield each number and path with its folder's descriptor, or -1 for a folder as of `open_folder`. A folder whose
    files follow each other is opened once, and closed after them."""
    at, folder = -1, None
    try:
        for number, path in files:
            parent = path[: max(path.rfind("/"), 0)]
            if parent != folder:
                if at >= 0:
                    os.close(at)
                at = -1
                at, folder = open_folder(root, parent), parent
            yield number, at, path
    finally:
        if at >= 0:
            os.close(at)

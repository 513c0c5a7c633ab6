"""Opens what lies below a folder, and nothing else: no link is followed on the way, whoever swaps them meanwhile.

Linux's openat2 does it in one call (RESOLVE_BENEATH); a kernel or sandbox without it gets a walk, component by
component. Paths are bytes, relative and safe (schema.snapshot_manifest.is_safe_path); `b""` is the folder itself.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager

_OPENAT2 = 437
_RESOLVE = 0x02 | 0x04 | 0x08  # NO_MAGICLINKS, NO_SYMLINKS, BENEATH
_AT_FDCWD = -100
_TRIES = 20

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Opening a FIFO so never hangs; whoever reads looks first at what was opened."""
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
WRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)


def open_root(path: bytes) -> int:
    """The folder that everything is below; itself no link."""
    return os.open(path, FOLDER)


def open_below(root: int, path: bytes, flags: int, mode: int = 0) -> int:
    """A descriptor. OSError: ELOOP or ENOTDIR where a link is in the way, EXDEV where the path would leave."""
    return (_open_at_once if _has_openat2 else open_step_by_step)(root, path, flags, mode)


@contextmanager
def opened(root: int, path: bytes, flags: int = FOLDER, mode: int = 0) -> Iterator[int]:
    descriptor = open_below(root, path, flags, mode)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_there(root: int, path: bytes) -> bool:
    """Whether anything is at the path, a link or what it may be; not what lies behind one."""
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
    """The folder and the name in it."""
    folder, _, name = path.rpartition(b"/")
    return folder, name


def flush_file_system(root: int) -> None:
    """Everything written so far on the file system of this folder is on its disk afterwards. OSError when it is not."""
    if _libc.syncfs(root) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _open_at_once(root: int, path: bytes, flags: int, mode: int = 0) -> int:
    how, number = _how(flags, mode), 0
    for _ in range(_TRIES):
        descriptor = _syscall(_OPENAT2, root, path or b".", ctypes.addressof(how), ctypes.sizeof(how))
        if descriptor >= 0:
            return int(descriptor)
        number = ctypes.get_errno()
        if number not in (errno.EAGAIN, errno.EINTR):  # EAGAIN: something was renamed while it looked
            break
    raise OSError(number, os.strerror(number), os.fsdecode(path))


@functools.cache
def _how(flags: int, mode: int) -> _How:
    """The kernel only reads it."""
    return _How(flags, mode, _RESOLVE)


def open_step_by_step(root: int, path: bytes, flags: int, mode: int = 0) -> int:
    """The same without openat2."""
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

"""Read files that other processes may be writing: compare a file's state before and after, and retry when it
differs."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from executor.snapshotter.paths import READ
from executor.snapshotter.temporary_access import open_closed_file

TRIES = 3
LARGE_BYTES = 1 << 20
PART_BYTES = 16 << 20
"""Cut large files at multiples of this size, so that an unchanged range is the same part again."""


class NotReadable(Exception):
    """The name has no readable file. `reason` is None when the name does not exist."""

    def __init__(self, reason: str | None) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class FileState:
    """A file's properties after reading. `is_steady`: they were the same before."""

    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    is_steady: bool


def open_file(folder: int, name: str, *, opens_up: bool = False) -> int:
    """Return a descriptor of a regular file. Raises NotReadable.

    `opens_up` also opens a file whose owner lacks the permission.
    """
    try:
        descriptor = _open(folder, name, opens_up=opens_up)
    except FileNotFoundError:
        raise NotReadable(None) from None
    except PermissionError:
        raise NotReadable("unreadable") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EISDIR, errno.EIO):
            raise NotReadable("unreadable" if error.errno == errno.EIO else "changing") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotReadable("changing")
    return descriptor


def _open(folder: int, name: str, *, opens_up: bool) -> int:
    try:
        return os.open(name, READ, dir_fd=folder)
    except PermissionError:
        if not opens_up:
            raise
        return open_closed_file(folder, name, READ)


def read_small(descriptor: int) -> tuple[bytes, FileState] | None:
    """Return a file's content and state, or None when it has become a large file."""
    data, state = b"", None
    for _ in range(TRIES):
        before = os.fstat(descriptor)
        if before.st_size >= LARGE_BYTES:
            return None
        data = os.pread(descriptor, before.st_size + 1, 0)
        state = _compare(before, os.fstat(descriptor), len(data))
        if state.is_steady:
            break
    assert state is not None
    return data, state


def _compare(before: os.stat_result, after: os.stat_result, size: int) -> FileState:
    same = (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )
    return FileState(
        mode=stat.S_IMODE(after.st_mode),
        size=size,
        mtime_ns=after.st_mtime_ns,
        ctime_ns=after.st_ctime_ns,
        inode=after.st_ino,
        is_steady=same and size == after.st_size,
    )


def state_after(before: os.stat_result, descriptor: int, *, size: int) -> FileState:
    """Return the state of a large file after reading it to `size` bytes."""
    return _compare(before, os.fstat(descriptor), size)


def read_pieces(descriptor: int, seen: os.stat_result) -> Iterator[tuple[int, bytes]]:
    """Yield a large file as (offset, bytes) of at most PART_BYTES, without its holes, until its end."""
    for start, end in _extents(descriptor, seen):
        data = os.pread(descriptor, end - start, start)
        while 0 < len(data) < end - start:
            more = os.pread(descriptor, end - start - len(data), start + len(data))
            if not more:
                break
            data += more
        if data:
            yield start, data


def _extents(descriptor: int, seen: os.stat_result) -> Iterator[tuple[int, int]]:
    """Yield data ranges (start, end) by windows of PART_BYTES, skipping holes."""
    if seen.st_blocks * 512 >= seen.st_size:
        for start in range(0, seen.st_size, PART_BYTES):
            yield start, min(start + PART_BYTES, seen.st_size)
        return
    at = 0
    while at < seen.st_size:
        try:
            start = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole follows
                return
            raise
        window = min((start // PART_BYTES + 1) * PART_BYTES, seen.st_size)
        end = _last_data(descriptor, start, window)
        yield start, end
        at = window


def _last_data(descriptor: int, start: int, window: int) -> int:
    """Return the end of the last data before `window`."""
    end, at = start, start
    while at < window:
        end = min(os.lseek(descriptor, at, os.SEEK_HOLE), window)
        try:
            at = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break
            raise
    return end

"""Reads files that others may be writing: looked at before and after, and again when they differ."""

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
"""Large files are cut at multiples of this, so that what did not change is the same part again."""


class NotReadable(Exception):
    """There is nothing to be read under this name; `reason` None when there is nothing at all."""

    def __init__(self, reason: str | None) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class Look:
    """A file's properties when its reading ended. `is_steady`: they were the same when it began."""

    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    is_steady: bool


def open_file(folder: int, name: str, *, opens_up: bool = False) -> int:
    """A descriptor of a regular file; `opens_up`: also of one that its owner may not open. Raises NotReadable."""
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


def read_small(descriptor: int) -> tuple[bytes, Look] | None:
    """All of it, and how it looks; None when it is a large file by now."""
    data, look = b"", None
    for _ in range(TRIES):
        before = os.fstat(descriptor)
        if before.st_size >= LARGE_BYTES:
            return None
        data = os.pread(descriptor, before.st_size + 1, 0)
        look = _look(before, os.fstat(descriptor), len(data))
        if look.is_steady:
            break
    assert look is not None
    return data, look


def _look(before: os.stat_result, after: os.stat_result, size: int) -> Look:
    same = (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )
    return Look(
        mode=stat.S_IMODE(after.st_mode),
        size=size,
        mtime_ns=after.st_mtime_ns,
        ctime_ns=after.st_ctime_ns,
        inode=after.st_ino,
        is_steady=same and size == after.st_size,
    )


def look_again(before: os.stat_result, descriptor: int, *, size: int) -> Look:
    """After a large file was read to `size`."""
    return _look(before, os.fstat(descriptor), size)


def pieces(descriptor: int, seen: os.stat_result) -> Iterator[tuple[int, bytes]]:
    """A large file as (offset, bytes) of at most PART_BYTES, without its holes; ends where the file does."""
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
    """Data by windows of PART_BYTES, from the first to the last byte that is no hole."""
    if seen.st_blocks * 512 >= seen.st_size:
        for start in range(0, seen.st_size, PART_BYTES):
            yield start, min(start + PART_BYTES, seen.st_size)
        return
    at = 0
    while at < seen.st_size:
        try:
            start = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from here on
                return
            raise
        window = min((start // PART_BYTES + 1) * PART_BYTES, seen.st_size)
        end = _last_data(descriptor, start, window)
        yield start, end
        at = window


def _last_data(descriptor: int, start: int, window: int) -> int:
    """Where the last data before `window` ends."""
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

"""Fetch the objects that a restore needs, several at a time: verify each one and write its files."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from uuid import UUID

import zstandard

from executor.snapshotter.index import Stamp, stamp_of
from executor.snapshotter.paths import CREATE, FOLDER, WRITE, flush_file_system, open_below, opened, split
from executor.snapshotter.protocol import ExecutorChannel
from executor.snapshotter.staging import Staging
from executor.snapshotter.transfer import ObjectDamaged, get_object_into
from schema.snapshot_manifest import (
    Entry,
    File,
    Folder,
    HardLink,
    LargeFile,
    Manifest,
    Part,
    Stored,
    Symlink,
    path_bytes,
)

THREADS = 4
FLUSHED_BYTES = 32 << 20
"""Flush to disk after this many bytes while fetching continues, so that the last flush is short."""
_BLOCK = 1 << 16
_ZEROS = bytes(_BLOCK)
_WRITE_BYTES = 1 << 18
"""Longer writes take up to four times the processor time: the kernel looks for memory in one piece."""
_own = threading.local()


Target = tuple[Staging, bytes, File]
"""A file to write: its staging root, its path there, and its entry."""


@dataclass
class Wanted:
    """List the files and parts to write from one object."""

    files: list[Target] = field(default_factory=list)
    parts: list[tuple[Staging, bytes, Part]] = field(default_factory=list)


class Fetch:
    """Collect entries with `add`, then fetch them with `run`."""

    def __init__(self, manifest: Manifest, *, session_id: UUID, channel: ExecutorChannel) -> None:
        self._objects = manifest.objects
        self._session_id = session_id
        self._channel = channel
        self._wanted: dict[int, Wanted] = {}
        self._deferred: list[tuple[Staging, list[Entry]]] = []
        self._failed = False
        self._writing = threading.Lock()
        self._flushing = threading.Lock()
        self._unflushed = 0
        self.bytes_to_write = 0

    def add(self, staging: Staging, entries: list[Entry]) -> None:
        """Add entries to write. Folders, empty files and large files are created at once; other files wait for their
        objects.

        The targets of hard links must be among the entries.
        """
        deferred: list[Entry] = []
        folder = None
        for entry in entries:
            path = path_bytes(entry.path)
            above = split(path)[0]
            if above != folder:
                staging.make_folder(above)
                folder = above
            match entry:
                case File():
                    self._add_file((staging, path, entry))
                case Folder():
                    staging.make_folder(path)
                    staging.snapshot_folders.add(path)
                case HardLink() | Symlink():
                    deferred.append(entry)
                case LargeFile():
                    self._add_large(staging, path, entry)
                    deferred.append(entry)
        self._deferred.append((staging, deferred))

    def run(self) -> None:
        """Fetch, verify and write everything. Raises StoreFailed, ObjectDamaged, or OSError from the disk."""
        self._channel.progress("downloading", filesTotal=self._count_files(), bytesTotal=self.bytes_to_write)
        largest_first = sorted(self._wanted, key=lambda number: -self._objects[number].size)
        pool = ThreadPoolExecutor(THREADS, "fetch")
        tasks = [pool.submit(self._fetch, number) for number in largest_first]
        wait(tasks, return_when=FIRST_EXCEPTION)
        self._failed = any(task.done() and task.exception() for task in tasks)
        pool.shutdown(wait=not self._failed, cancel_futures=True)
        for task in tasks:
            if task.done():
                task.result()
        for staging, entries in self._deferred:
            for entry in entries:
                _finish(staging, entry)

    def _count_files(self) -> int:
        return sum(len(wanted.files) for wanted in self._wanted.values())

    def _add_file(self, target: Target) -> None:
        file = target[2]
        if not file.size:
            _write_files([target], memoryview(b""), lambda: False)
            return
        wanted = self._wanted.get(file.pack)
        if wanted is None:
            wanted = self._wanted[file.pack] = Wanted()
        wanted.files.append(target)
        self.bytes_to_write += file.size

    def _add_large(self, staging: Staging, path: bytes, file: LargeFile) -> None:
        with opened(staging.new, path, CREATE, 0o600) as descriptor:
            os.ftruncate(descriptor, file.size)
        for part in file.parts:
            self._wanted.setdefault(part.object, Wanted()).parts.append((staging, path, part))
            self.bytes_to_write += part.size

    def _fetch(self, number: int) -> None:
        stored, wanted = self._objects[number], self._wanted[number]
        key = stored.key(self._session_id)
        data = _place(stored.size)
        get_object_into(self._channel, key, data, digest=stored.digest)
        raw = _decompressed(data, stored) if stored.is_zstd else data
        with self._writing:  # several threads writing small files would mostly wait for the interpreter's lock
            _write_files(wanted.files, raw, lambda: self._failed)
        if wanted.parts:
            digest = hashlib.sha256(raw).hexdigest() if stored.is_zstd else stored.digest
            for staging, path, part in wanted.parts:
                _write_part(staging, path, part, raw, digest)
        written = sum(file.size for _, _, file in wanted.files) + sum(part.size for _, _, part in wanted.parts)
        self._channel.add(files=len(wanted.files), amount=written)
        self._flush_now_and_then(wanted, written)

    def _flush_now_and_then(self, wanted: Wanted, written: int) -> None:
        with self._writing:
            self._unflushed += written
        if self._unflushed < FLUSHED_BYTES or not self._flushing.acquire(blocking=False):
            return
        try:
            self._unflushed = 0
            flush_file_system((wanted.files or wanted.parts)[0][0].new)
        finally:
            self._flushing.release()


def _place(size: int) -> memoryview:
    """Return this thread's memory for one object, the same for each: new memory would be cleared by the kernel first.

    A manifest names no object of more than MAX_PART_BYTES and 1 MiB.
    """
    if len(getattr(_own, "place", b"")) < size:
        _own.place = bytearray(size)
    return memoryview(_own.place)[:size]


def _decompressed(data: memoryview, stored: Stored) -> memoryview:
    """Decompress exactly as many bytes as the manifest says, whatever the object's own header claims."""
    if not hasattr(_own, "decompressor"):
        _own.decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    try:
        if zstandard.frame_content_size(data) != stored.raw:
            raise ObjectDamaged(
                "An object of the snapshot differs in size from its manifest. Restore an older snapshot."
            )
        raw: bytes = _own.decompressor.decompress(data, max_output_size=stored.raw)
    except zstandard.ZstdError:
        raise ObjectDamaged("An object of the snapshot cannot be decompressed. Restore an older snapshot.") from None
    if len(raw) != stored.raw:
        raise ObjectDamaged("An object of the snapshot differs in size from its manifest. Restore an older snapshot.")
    return memoryview(raw)


def _write_files(targets: list[Target], view: memoryview, is_over: Callable[[], bool]) -> None:
    """Verify and write files, opening each folder once. `is_over` stops the loop when another thread has failed."""
    at = -1
    folder: tuple[Staging, bytes] | None = None
    try:
        for staging, path, file in targets:
            if is_over():
                return
            data = view[file.offset : file.offset + file.size]
            if hashlib.sha256(data).hexdigest() != file.digest:
                raise ObjectDamaged("A file of the snapshot differs from its manifest. Restore an older snapshot.")
            parent, name = split(path)
            if folder is None or folder[1] != parent or folder[0] is not staging:
                if at >= 0:
                    os.close(at)
                at, folder = open_below(staging.new, parent, FOLDER), (staging, parent)
            staging.stamps[file.path] = _write_file(at, name, data, file)
    finally:
        if at >= 0:
            os.close(at)


def _write_file(folder: int, name: bytes, data: memoryview, file: File) -> Stamp:
    descriptor = os.open(name, CREATE, file.mode, dir_fd=folder)
    try:
        write_all(descriptor, data, 0)
        if file.mode & 0o7000:
            os.fchmod(descriptor, file.mode)
        os.utime(descriptor, ns=(file.mtime_ns, file.mtime_ns))
        return stamp_of(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _write_part(staging: Staging, path: bytes, part: Part, view: memoryview, digest: str) -> None:
    """Verify and write one part of a large file. `digest` is the content's digest. Blocks of zeros stay holes."""
    if digest != part.digest:
        raise ObjectDamaged("A part of a file of the snapshot differs from its manifest. Restore an older snapshot.")
    with opened(staging.new, path, WRITE) as descriptor:
        for start, end in _without_zeros(view):
            write_all(descriptor, view[start:end], part.offset + start)


def _without_zeros(view: memoryview) -> Iterator[tuple[int, int]]:
    """Yield the ranges (start, end) between blocks of zeros."""
    begun = 0
    for start in range(0, len(view), _BLOCK):
        block = view[start : start + _BLOCK]
        if block == _ZEROS[: len(block)]:
            if begun < start:
                yield begun, start
            begun = start + len(block)
    if begun < len(view):
        yield begun, len(view)


def write_all(descriptor: int, data: memoryview, offset: int) -> None:
    """Write all of `data` at `offset`. A nearly full disk takes a part of it and then raises OSError."""
    while data:
        count = os.pwrite(descriptor, data[:_WRITE_BYTES], offset)
        data, offset = data[count:], offset + count


def _finish(staging: Staging, entry: Entry) -> None:
    """Create entries that depend on other files' content: links, and the modes and times of large files."""
    folder, name = split(path_bytes(entry.path))
    match entry:
        case LargeFile():
            with opened(staging.new, path_bytes(entry.path), WRITE) as descriptor:
                os.fchmod(descriptor, entry.mode)
                os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
                staging.stamps[entry.path] = stamp_of(os.fstat(descriptor))
        case Symlink():
            with opened(staging.new, folder) as at:
                os.symlink(path_bytes(entry.target), name, dir_fd=at)
                os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=at, follow_symlinks=False)
        case HardLink():
            staging.touched.add(path_bytes(entry.target))
            source_folder, source = split(path_bytes(entry.target))
            with opened(staging.new, source_folder) as at, opened(staging.new, folder) as to:
                os.link(source, name, src_dir_fd=at, dst_dir_fd=to, follow_symlinks=False)

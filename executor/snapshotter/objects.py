"""Collect the objects of a new snapshot: reuse those of the previous one by content, and upload new ones.

At most BUDGET_BYTES of content are in memory at a time. A caller that adds more waits until an upload finishes.
"""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID

import zstandard

from executor.snapshotter.index import KnownEntry
from executor.snapshotter.protocol import ExecutorChannel
from schema.snapshot_manifest import Entry, File, LargeFile, Manifest, Part, Stored

PACK_BYTES = 8 << 20
BUDGET_BYTES = 48 << 20
THREADS = 4
LEVEL = 3
SAMPLES = 16
SAMPLE_BYTES = 16 << 10
"""Compress no part of a large file whose samples do not compress: models, images and archives."""
SMALL_PACK_BYTES = 1 << 20
SMALL_PACKS = 16
DEAD_SHARE = 3
"""Rewrite a pack when less than a third of it is still needed. More than SMALL_PACKS small packs become one."""

_own = threading.local()


class SnapshotObjects:
    """Locate each content. Entries point into `table`: the previous snapshot's objects, then new ones."""

    def __init__(
        self,
        head: Manifest | None,
        *,
        session_id: UUID,
        channel: ExecutorChannel,
        put: Callable[[str, bytes], None],
    ) -> None:
        """`put` stores an object under its key."""
        self._session_id = session_id
        self._put = put
        self._channel = channel
        self._head = head
        self._table: list[Stored | Future[Stored]] = list(head.objects) if head else []
        self._small: dict[str, tuple[int, int]] | None = None
        self._parts: dict[tuple[str, int], int] | None = None
        self._retired: set[int] = set()
        self._pack = bytearray()
        self._pack_number = 0
        self._pool = ThreadPoolExecutor(THREADS, "upload")
        self._free = BUDGET_BYTES
        self._freed = threading.Condition()
        self._failed: BaseException | None = None
        self.uploaded: list[Stored] = []

    def add_small(self, digest: str, data: bytes) -> tuple[int, int]:
        """Return (pack, offset) of these bytes. Unknown bytes go into a new pack."""
        if not data:
            return 0, 0
        known = self._small_locations().get(digest)
        if known is not None:
            return known
        if len(self._pack) + len(data) > PACK_BYTES and self._pack:
            self.finish_pack()
        if not self._pack:
            self._pack_number = self._reserve()
        location = self._pack_number, len(self._pack)
        self._pack += data
        self._small_locations()[digest] = location
        return location

    def add_part(self, offset: int, data: bytes) -> Part:
        """Return the part of a large file. Unknown bytes are uploaded as an object of their own."""
        digest = hashlib.sha256(data).hexdigest()
        known = self._known_parts().get((digest, len(data)))
        if known is None:
            known = self._reserve()
            self._send(known, data, digest=digest)
            self._known_parts()[digest, len(data)] = known
        else:
            self._channel.add(amount=len(data))  # otherwise rereading a huge file would show no progress
        return Part(offset, len(data), digest, known)

    def finish_pack(self) -> None:
        """Upload the current pack. The next file begins another one."""
        if self._pack:
            data, self._pack = bytes(self._pack), bytearray()
            self._send(self._pack_number, data)

    def reusable_entries(self, known: Mapping[str, KnownEntry]) -> dict[str, KnownEntry]:
        """Return entries of an older snapshot, relocated to this one. Entries whose bytes are not in this one are left
        out."""
        current = ((self._relocated(entry), stamp) for entry, stamp in known.values())
        return {entry.path: (entry, stamp) for entry, stamp in current if entry is not None}

    @property
    def has_retired(self) -> bool:
        return bool(self._retired)

    def is_retired(self, entry: Entry) -> bool:
        return isinstance(entry, File) and entry.size > 0 and entry.pack in self._retired

    def retire(self, needed: Iterable[Entry | None]) -> bool:
        """Give up packs of which little is `needed`, and small packs when there are many.

        Return whether any was given up. The caller must add their needed files again.
        """
        if self._head is None:
            return False
        live: dict[int, int] = defaultdict(int)
        before = len(self._head.objects)
        for entry in needed:
            if type(entry) is File and entry.size and entry.pack < before:
                live[entry.pack] += entry.size
        objects = self._head.objects
        dead = {pack for pack, size in live.items() if size * DEAD_SHARE < objects[pack].raw}
        small = {pack for pack in live if objects[pack].size < SMALL_PACK_BYTES and objects[pack].raw < PACK_BYTES // 2}
        retired = dead | (small if len(small) > SMALL_PACKS else set())
        if retired:
            self._small = {
                digest: location for digest, location in self._small_locations().items() if location[0] not in retired
            }
            self._retired |= retired
        return bool(retired)

    def finish(self) -> list[Stored]:
        """Return all objects once every upload has finished. Raises the error of a failed upload."""
        self.finish_pack()
        try:
            return [stored if isinstance(stored, Stored) else stored.result() for stored in self._table]
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _relocated(self, entry: Entry) -> Entry | None:
        if isinstance(entry, File):
            location = self._small_locations().get(entry.digest) if entry.size else (0, 0)
            if location is None:
                return None
            return File(entry.path, entry.mode, entry.mtime_ns, entry.size, entry.digest, *location)
        if not isinstance(entry, LargeFile):
            return None
        parts = []
        for part in entry.parts:
            known = self._known_parts().get((part.digest, part.size))
            if known is None:
                return None
            parts.append(Part(part.offset, part.size, part.digest, known))
        return LargeFile(entry.path, entry.mode, entry.mtime_ns, entry.size, entry.digest, parts)

    def _small_locations(self) -> dict[str, tuple[int, int]]:
        if self._small is None:
            self._small = {
                entry.digest: (entry.pack, entry.offset)
                for entry in _all(self._head)
                if isinstance(entry, File) and entry.size and entry.pack not in self._retired
            }
        return self._small

    def _known_parts(self) -> dict[tuple[str, int], int]:
        if self._parts is None:
            self._parts = {
                (part.digest, part.size): part.object
                for entry in _all(self._head)
                if isinstance(entry, LargeFile)
                for part in entry.parts
            }
        return self._parts

    def _reserve(self) -> int:
        """Return the number of a new object that is sent later."""
        self._table.append(Future())
        return len(self._table) - 1

    def _send(self, number: int, data: bytes, *, digest: str | None = None) -> None:
        """Upload a pack, or the part of a file with this digest."""
        with self._freed:
            self._freed.wait_for(lambda: self._free >= min(len(data), BUDGET_BYTES) or self._failed is not None)
            if self._failed is not None:
                raise self._failed
            self._free -= len(data)
        self._table[number] = self._pool.submit(self._upload, data, digest)

    def _upload(self, data: bytes, digest: str | None) -> Stored:
        raw = len(data)
        try:
            content, stored = _stored(data, digest)
            del data
            self._put(stored.key(self._session_id), content)
        except BaseException as error:
            self._failed = error  # stops the other threads of this save
            raise
        else:
            self.uploaded.append(stored)
            self._channel.add(amount=raw)
            return stored
        finally:
            with self._freed:
                self._free += raw
                self._freed.notify_all()


def upload(channel: ExecutorChannel, key: str, data: bytes) -> None:
    """Put an object into the store."""
    from executor.snapshotter.transfer import put_object  # imports http.client, which few saves need

    put_object(channel, key, data)


def _all(manifest: Manifest | None) -> Iterable[Entry]:
    return () if manifest is None else (*manifest.roots.workspace, *manifest.roots.agent)


def _stored(data: bytes, digest: str | None) -> tuple[bytes, Stored]:
    """Return the object's bytes and its manifest record.

    A part (its digest is known) stays uncompressed unless compression saves a sixteenth, of samples of it and of it.
    """
    raw = len(data)
    if digest is not None and not _saves_a_sixteenth(samples := _samples(data), _compressed(samples)):
        return data, Stored(digest, size=raw, raw=raw, is_pack=False, is_zstd=False)
    packed = _compressed(data)
    if digest is not None and not _saves_a_sixteenth(data, packed):
        return data, Stored(digest, size=raw, raw=raw, is_pack=False, is_zstd=False)
    packed_digest = hashlib.sha256(packed).hexdigest()
    return packed, Stored(packed_digest, size=len(packed), raw=raw, is_pack=digest is None, is_zstd=True)


def _samples(data: bytes) -> bytes:
    """Return SAMPLES pieces of the data from all over it, or the data where they are less."""
    if len(data) <= SAMPLES * SAMPLE_BYTES:
        return data
    last = len(data) - SAMPLE_BYTES
    starts = [last * number // (SAMPLES - 1) for number in range(SAMPLES)]
    return b"".join(data[start : start + SAMPLE_BYTES] for start in starts)


def _saves_a_sixteenth(data: bytes, packed: bytes) -> bool:
    return len(packed) < len(data) - len(data) // 16


def _compressed(data: bytes) -> bytes:
    """Compress with one compressor per thread, because threads cannot share it."""
    if not hasattr(_own, "compressor"):
        _own.compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
    packed: bytes = _own.compressor.compress(data)
    return packed

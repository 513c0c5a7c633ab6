"""Keep read manifests in the process: they never change. Bounded by entries, and few are read at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from functions.files.object_reader import ObjectReader
from handlers.files.tree import SnapshotTree
from schema.errors import Unavailable
from schema.object_keys import manifest_key
from schema.rows import SnapshotRow
from schema.snapshot_manifest import MAX_STORED_BYTES, read_snapshot_manifest
from schema.workspace_api import Root

MOST_ENTRIES = 400_000
"""Entries of all manifests that are kept; the newest is kept whatever its size. An entry takes about 500 bytes."""
MOST_KEPT = 16
READS_AT_A_TIME = 2
WAIT_SECONDS = 20.0


class OpenSnapshots:
    """The manifests that were read last, as trees by root."""

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader
        self._kept: OrderedDict[UUID, dict[Root, SnapshotTree]] = OrderedDict()
        self._lock = threading.Lock()
        self._reading = threading.BoundedSemaphore(READS_AT_A_TIME)

    def tree(self, snapshot: SnapshotRow, root: Root) -> SnapshotTree:
        """Return the snapshot's tree. Raises FilesUnavailable, ObjectMissing, BadManifest, Unavailable."""
        found = self._known(snapshot.id)
        if found is None:
            with self._turn():
                found = self._known(snapshot.id) or self._read(snapshot)
        return found[root]

    def _known(self, snapshot_id: UUID) -> dict[Root, SnapshotTree] | None:
        with self._lock:
            found = self._kept.get(snapshot_id)
            if found is not None:
                self._kept.move_to_end(snapshot_id)
            return found

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._reading.acquire(timeout=WAIT_SECONDS):
            raise Unavailable("Too many snapshots are being read at once. Try again shortly.", code="files_busy")
        try:
            yield
        finally:
            self._reading.release()

    def _read(self, snapshot: SnapshotRow) -> dict[Root, SnapshotTree]:
        data = self._reader.read(manifest_key(snapshot.session_id, snapshot.id), most_bytes=MAX_STORED_BYTES)
        manifest = read_snapshot_manifest(
            data, session_id=snapshot.session_id, snapshot_id=snapshot.id, digest=snapshot.manifest_digest
        )
        del data
        roots: tuple[Root, ...] = ("workspace", "agent")
        trees = {root: SnapshotTree(manifest, root) for root in roots}
        with self._lock:
            self._kept[snapshot.id] = trees
            while len(self._kept) > 1 and (len(self._kept) > MOST_KEPT or self._entries() > MOST_ENTRIES):
                self._kept.popitem(last=False)
        return trees

    def _entries(self) -> int:
        return sum(len(tree) for trees in self._kept.values() for tree in trees.values())

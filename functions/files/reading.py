"""The state of reading files in one API process, and which snapshot a request reads."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app

from functions.files.access import admitted
from functions.files.auditing import note_access
from functions.files.object_reader import ObjectReader
from functions.files.open_snapshots import OpenSnapshots
from functions.files.schemas import DiffQuery, NotLive, SnapshotPart, SnapshotQuery
from functions.http.auth import actor
from functions.runtime.settings import ApiSettings
from functions.runtime.stream_slots import StreamSlots
from handlers.files.choose import snapshot_of_side, snapshot_to_read
from handlers.files.tree import SnapshotTree
from schema.errors import Invalid
from schema.rows import SnapshotRow

NAME = "runyard-files"
ARCHIVES_AT_A_TIME = 4


@dataclass(frozen=True)
class FileReading:
    """The objects, the manifests that were read last, and slots for archives: each holds a pack in memory."""

    objects: ObjectReader
    snapshots: OpenSnapshots
    archives: StreamSlots


@dataclass(frozen=True)
class OpenTree:
    """A snapshot that the user may see, and the tree of the requested root."""

    snapshot: SnapshotRow
    tree: SnapshotTree
    not_live: NotLive | None = None

    @property
    def part(self) -> SnapshotPart:
        row = self.snapshot
        return SnapshotPart(snapshot_id=row.id, run_id=row.run_id, as_of=row.created_at, not_live=self.not_live)


def hold_file_reading(app: Flask, settings: ApiSettings) -> None:
    objects = ObjectReader(settings)
    app.extensions[NAME] = FileReading(objects, OpenSnapshots(objects), StreamSlots(ARCHIVES_AT_A_TIME))


def file_reading() -> FileReading:
    """Return the state of the process that serves this request."""
    found: FileReading = current_app.extensions[NAME]
    return found


def open_tree(query: SnapshotQuery, path: str, *, lists: bool = False, not_live: NotLive | None = None) -> OpenTree:
    """Open the requested snapshot to read this path; `not_live` tells why it takes over from the live workspace.

    No connection to the database is held while the store is read. Raises NotFound and FileDenied."""
    if query.snapshot is not None and query.run_id is not None:
        raise Invalid("Name a snapshot or a run, not both.")
    with admitted(query.session_id, query.root, path, lists=lists) as conn:
        snapshot = snapshot_to_read(conn, actor(), query.session_id, snapshot_id=query.snapshot, run_id=query.run_id)
    note_access(snapshot_id=snapshot.id)
    return OpenTree(snapshot, file_reading().snapshots.tree(snapshot, query.root), not_live)


def open_sides(query: DiffQuery, path: str) -> tuple[OpenTree, OpenTree]:
    """Open the snapshots of both sides of a comparison. Raises NotFound and FileDenied."""
    with admitted(query.session_id, query.root, path) as conn:
        sides = [snapshot_of_side(conn, actor(), query.session_id, side) for side in (query.from_, query.to)]
    note_access(snapshot_id=sides[1].id)
    old, new = (OpenTree(side, file_reading().snapshots.tree(side, query.root)) for side in sides)
    return old, new

"""The state of reading files in one API process, and which snapshot a request reads."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from flask import Flask, current_app

from functions.files.access import admitted
from functions.files.auditing import note_access
from functions.files.object_reader import ObjectReader
from functions.files.open_snapshots import OpenSnapshots
from functions.files.schemas import DiffQuery, NotLive, SnapshotPart, SnapshotQuery
from functions.http.auth import actor
from functions.runtime.settings import ApiSettings
from functions.runtime.stream_slots import StreamSlots
from handlers.files.choose import shows_run_end, snapshot_of_side, snapshot_to_read
from handlers.files.tree import SnapshotTree
from schema.errors import Invalid
from schema.rows import SnapshotRow
from schema.run_ends import exact_note

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
    """A snapshot that the user may see, and the tree of the requested root. `is_exact`: whether it holds the end of the
    run that was named; None where no run was."""

    snapshot: SnapshotRow
    tree: SnapshotTree
    not_live: NotLive | None = None
    is_exact: bool | None = None

    @property
    def part(self) -> SnapshotPart:
        row = self.snapshot
        return SnapshotPart(
            snapshot_id=row.id,
            run_id=row.run_id,
            as_of=row.created_at,
            not_live=self.not_live,
            exact=self.is_exact,
            exact_note=exact_note(exact=self.is_exact),
        )


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
        is_exact = shows_run_end(conn, query.run_id, snapshot) if query.run_id else None
    note_access(snapshot_id=snapshot.id)
    return OpenTree(snapshot, file_reading().snapshots.tree(snapshot, query.root), not_live, is_exact)


def open_sides(query: DiffQuery, path: str) -> tuple[OpenTree, OpenTree]:
    """Open the snapshots of both sides of a comparison. Raises NotFound and FileDenied."""
    with admitted(query.session_id, query.root, path) as conn:
        sides: dict[UUID, tuple[SnapshotRow, bool | None]] = {}
        for side in (query.from_, query.to):
            row = snapshot_of_side(conn, actor(), query.session_id, side)
            sides[side] = row, None if row.id == side else shows_run_end(conn, side, row)
    note_access(snapshot_id=sides[query.to][0].id)
    rows = (sides[side] for side in (query.from_, query.to))
    old, new = (_open_side(query, row, is_exact=is_exact) for row, is_exact in rows)
    return old, new


def _open_side(query: DiffQuery, row: SnapshotRow, *, is_exact: bool | None) -> OpenTree:
    return OpenTree(row, file_reading().snapshots.tree(row, query.root), is_exact=is_exact)

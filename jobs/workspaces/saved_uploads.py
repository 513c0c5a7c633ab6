"""Forget the kept bytes of uploads once a snapshot holds their files."""

from __future__ import annotations

import structlog

from handlers.workspaces.sync import BegunSync, Committed
from handlers.workspaces.uploads import forget_uploads, uploads_to_forget
from jobs.context import TaskContext
from jobs.workspaces.restore import read_manifest
from schema.errors import RunyardError
from schema.rows import SnapshotRow
from schema.sql import fetch_the

_log = structlog.get_logger(__name__)


def forget_saved_uploads(context: TaskContext, begun: BegunSync, committed: Committed) -> None:
    """Drop the bytes of the uploads that a committed save holds: an app's rules may leave some out.

    What fails here is done by the next save.
    """
    session_id = begun.lease.session_id
    kept = context.database.transact(uploads_to_forget, session_id, epoch=begun.epoch, seq=committed.seq)
    if not kept:
        return
    try:
        snapshot = context.database.transact(
            fetch_the, "snapshot", SnapshotRow, session_id=session_id, snapshot_id=committed.snapshot_id
        )
        saved = {entry.path for entry in read_manifest(context, snapshot).entries("workspace")}
    except RunyardError as error:
        _log.warning("uploads.kept", why=error.detail)
        return
    context.database.transact(forget_uploads, [upload for upload in kept if upload.path in saved])

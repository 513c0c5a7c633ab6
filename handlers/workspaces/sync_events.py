"""Write a sync's outcome to the session's log."""

from __future__ import annotations

from uuid import UUID

from handlers.event_log import append_of_worker
from schema.sql import Conn, fetch_value
from schema.wire import Json
from schema.workspace_api import SyncReason, SyncReceipt


def log_synced(
    conn: Conn,
    session_id: UUID,
    receipt: SyncReceipt,
    *,
    head: UUID,
    run_id: UUID | None,
    reason: SyncReason,
    since: int,
) -> None:
    """Log a sync that made a snapshot, or that `workspace.syncing` announced after event `since`. `head` is the newest
    snapshot now."""
    is_new = head == receipt.snapshot_id
    if not is_new and not fetch_value(conn, "is_sync_announced", session_id=session_id, since=since):
        return
    data: Json = {
        "snapshotId": str(head),
        "files": receipt.files,
        "bytes": receipt.bytes,
        "changed": 0 if receipt.unchanged else receipt.changed,
        "skipped": receipt.skipped_total,
        "seconds": round(receipt.seconds, 3),
        "reason": reason,
    }
    if run_id is not None:
        data |= {"runId": str(run_id), "runNumber": fetch_value(conn, "run_number", run_id=run_id)}
    append_of_worker(conn, session_id, "workspace.synced", data)

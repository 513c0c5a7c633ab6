"""Write a sync's outcome to the session's log."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from handlers.event_log import append_of_worker
from schema.sql import Conn, fetch_value
from schema.wire import Json
from schema.workspace_api import FOUND_IN_FILE, LEFT_OUT_OF_HOME, OF_SECRETS, SyncReason, SyncReceipt

PATHS_NAMED = 10
_WARNINGS = {
    FOUND_IN_FILE: (
        "secret_in_workspace",
        "These files of the workspace hold a secret value and are saved with it. Remove it, or change the secret:",
    ),
    LEFT_OUT_OF_HOME: (
        "secret_in_home",
        "These files of the agent's home hold a secret value, or belong to a database with one, and are not saved:",
    ),
}


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


def log_secrets(conn: Conn, session_id: UUID, receipt: SyncReceipt, *, known: Sequence[Json]) -> None:
    """Warn of files with secret values, once for each. `known` are the paths that the last snapshot lacks or warned
    of."""
    warned = {(path["path"], path["reason"]) for path in known}
    named = [path for path in receipt.skipped if path.reason in OF_SECRETS and (path.path, path.reason) not in warned]
    for reason, (code, sentence) in _WARNINGS.items():
        paths = [repr(path.path) for path in named if path.reason == reason]
        if paths:
            more = [f"{len(paths) - PATHS_NAMED} more"] if len(paths) > PATHS_NAMED else []
            message = f"{sentence} {', '.join([*paths[:PATHS_NAMED], *more])}."
            append_of_worker(conn, session_id, "run.warning", {"code": code, "message": message})

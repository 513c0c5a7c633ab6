"""Write the snapshot of a verified sync: that of the present state, or of a run's end that the executor kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from schema.errors import Unavailable
from schema.sql import Conn, execute, fetch_one, jsonb
from schema.wire import Json
from schema.workspace_api import FOUND_IN_FILE, LEFT_OUT_OF_HOME, OF_SECRETS, SyncReceipt

if TYPE_CHECKING:
    from handlers.workspaces.sync import BegunSync

SKIPPED_KEPT = 100
SECRETS_KEPT = 1000
"""As many as a receipt names. The session is warned of each file once, so none of these may be forgotten."""


@dataclass(frozen=True)
class _End:
    seq: int


def as_end(conn: Conn, begun: BegunSync, run_id: UUID) -> BegunSync:
    """Return the sync as that of the run's end. Raises Unavailable for a run that is not the session's."""
    end = fetch_one(conn, "end_of_run", _End, session_id=begun.lease.session_id, run_id=run_id)
    if end is None:
        raise Unavailable("The executor kept the end of a run that is not the session's.", code="unknown_run")
    return replace(begun, run_id=run_id, reason="run", at_rest=True, seq=min(end.seq, begun.seq))


def land_snapshot(conn: Conn, begun: BegunSync, receipt: SyncReceipt) -> UUID:
    """Return the snapshot with the synced state: a new one, or the head if nothing has changed."""
    if receipt.unchanged and begun.head is not None:
        execute(
            conn,
            "confirm_snapshot",
            id=begun.head.id,
            session_id=begun.lease.session_id,
            at_rest=begun.at_rest,
            seq=begun.seq,
            skipped=jsonb(_skipped(begun, receipt)),
        )
        return begun.head.id
    execute(
        conn,
        "insert_snapshot",
        id=receipt.snapshot_id,
        session_id=begun.lease.session_id,
        epoch=begun.epoch,
        run_id=begun.run_id,
        reason=begun.reason,
        seq=begun.seq,
        at_rest=begun.at_rest,
        files=receipt.files,
        bytes=receipt.bytes,
        changed=receipt.changed,
        uploaded_bytes=receipt.uploaded_bytes,
        skipped=jsonb(_skipped(begun, receipt)),
        objects=receipt.objects,
        manifest_digest=receipt.manifest_digest,
    )
    return receipt.snapshot_id


def _skipped(begun: BegunSync, receipt: SyncReceipt) -> list[Json]:
    """Return the paths that the snapshot lacks, those with secrets first, and what still holds of the last list."""
    told = [path.to_json() for path in receipt.skipped]
    known = {(path.path, path.reason) for path in receipt.skipped}
    earlier = begun.head.skipped if begun.head is not None else []
    told += [
        path
        for path in earlier
        if _was_not_read(path["reason"], begun, receipt) and (path["path"], path["reason"]) not in known
    ]
    secrets = [path for path in told if path["reason"] in OF_SECRETS]
    others = [path for path in told if path["reason"] not in OF_SECRETS]
    return secrets[:SECRETS_KEPT] + others[: max(0, SKIPPED_KEPT - len(secrets))]


def _was_not_read(reason: str, begun: BegunSync, receipt: SyncReceipt) -> bool:
    """Tell whether a file with a secret may be missing in the receipt only because the save did not read it.

    A save beside a live agent does not read its home. An unchanged file of the workspace is not read again."""
    return (reason == LEFT_OUT_OF_HOME and not begun.at_rest) or (reason == FOUND_IN_FILE and receipt.unchanged)

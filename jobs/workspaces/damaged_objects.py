"""Delete damaged objects of a session, so that a save can upload their bytes again: a link overwrites nothing."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from handlers.workspaces.garbage import mark_damaged
from handlers.workspaces.sync import SyncLease
from jobs.context import TaskContext
from jobs.object_store.contract import ObjectStorage
from jobs.workspaces.deletion_marks import forget_marks
from jobs.workspaces.verify import is_content_of_key
from schema.errors import NotFound
from schema.object_keys import is_content_key

_log = structlog.stdlib.get_logger(__name__)


def delete_damaged(context: TaskContext, store: ObjectStorage, lease: SyncLease, keys: Sequence[str]) -> None:
    """Delete those packs and parts whose bytes are not what their key says: no snapshot can use them.

    Who says so is the worker, which may be hostile, so each object is read. Marks keep a save under another lease from
    naming it meanwhile, as they do for garbage.
    """
    damaged = [key for key in keys if is_content_key(lease.session_id, key) and _is_damaged(store, key)]
    if not damaged:
        return
    owner, lock_seconds = context.claimer, context.sync_leases.lock_seconds
    if not context.database.transact(mark_damaged, lease, damaged, owner=owner, lock_seconds=lock_seconds):
        return
    _log.error("object.damaged", keys=damaged[:10], count=len(damaged), then="deleted, to be uploaded again")
    try:
        store.delete(damaged)
    finally:  # also where the answer was lost: the marks would keep later saves from these keys
        forget_marks(context, lease, damaged)


def _is_damaged(store: ObjectStorage, key: str) -> bool:
    try:
        return not is_content_of_key(key, store.read(key))
    except NotFound:
        return False

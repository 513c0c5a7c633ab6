"""`collect_garbage`: delete the objects that no snapshot has named for a whole grace period."""

from __future__ import annotations

from uuid import UUID

import structlog

from handlers.workspaces.garbage import (
    GarbageRules,
    Listed,
    mark_for_deletion,
    retire_snapshots,
    sessions_with_objects,
)
from handlers.workspaces.sync import SyncLease, end_sync_lease, take_sync_lease
from jobs.context import TaskContext
from jobs.object_store.contract import ObjectStorage
from jobs.workspaces.deletion_marks import forget_marks
from schema.errors import RunyardError
from schema.isolation import isolated
from schema.logs import log_context
from schema.object_keys import session_prefix
from schema.wire import Wire

DELETED_AT_ONCE = 500

_log = structlog.stdlib.get_logger(__name__)


class Collected(Wire):
    """The counts of one pass. `busy` sessions were syncing; the next pass collects them."""

    sessions: int = 0
    busy: int = 0
    failed: int = 0
    retired: int = 0
    deleted: int = 0


def collect_garbage(context: TaskContext) -> Collected:
    """Collect each session's garbage under its sync lease. Several job workers may run this at once."""
    total = Collected()
    for session_id in context.database.transact(sessions_with_objects):
        if context.store is None or context.closing.is_set():
            break
        with log_context(sessionId=session_id):
            collected = Collected(failed=1)
            with isolated("garbage.not_collected", sessionId=session_id):
                collected = _collect(context, context.store, session_id)
            total = _added(total, collected)
    if total.deleted or total.retired or total.failed:
        _log.info("garbage.collected", **total.model_dump())
    return total


def rules(context: TaskContext) -> GarbageRules:
    settings = context.settings
    return GarbageRules(grace_seconds=settings.garbage_grace_hours * 3600, kept_days=settings.message_snapshots_days)


def _collect(context: TaskContext, store: ObjectStorage, session_id: UUID) -> Collected:
    lock_seconds = context.sync_leases.lock_seconds
    lease = context.database.transact(take_sync_lease, session_id, owner=context.claimer, lock_seconds=lock_seconds)
    if lease is None:
        return Collected(busy=1)
    with context.sync_leases.renewing(lease):
        try:
            retired = context.database.transact(
                retire_snapshots, lease, rules=rules(context), lock_seconds=lock_seconds
            )
            return Collected(sessions=1, retired=retired, deleted=_delete(context, store, lease))
        except RunyardError as error:
            _log.warning("garbage.left", why=error.detail)
            return Collected(failed=1)
        finally:
            context.database.transact(end_sync_lease, lease)


def _delete(context: TaskContext, store: ObjectStorage, lease: SyncLease) -> int:
    """Mark garbage for deletion, delete it, and return the number of deleted objects."""
    listed = [Listed(stored.key, stored.last_modified) for stored in store.list(session_prefix(lease.session_id))]
    marked = context.database.transact(
        mark_for_deletion,
        lease,
        listed,
        owner=context.claimer,
        rules=rules(context),
        lock_seconds=context.sync_leases.lock_seconds,
    )
    deleted = 0
    for start in range(0, len(marked), DELETED_AT_ONCE):
        keys = marked[start : start + DELETED_AT_ONCE]
        if not context.sync_leases.is_held(lease):
            break
        store.delete(keys)
        forget_marks(context, lease, keys)
        deleted += len(keys)
    return deleted


def _added(a: Collected, b: Collected) -> Collected:
    return Collected(**{name: getattr(a, name) + getattr(b, name) for name in Collected.model_fields})

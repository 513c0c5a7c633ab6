"""`collect_garbage`: delete from the object store what no snapshot has named for a whole grace period."""

from __future__ import annotations

from uuid import UUID

import structlog

from handlers.workspaces.garbage import (
    GarbageRules,
    Listed,
    forget_deleted,
    mark_for_deletion,
    retire_snapshots,
    sessions_with_objects,
)
from handlers.workspaces.sync import SyncLease, end_sync_lease, take_sync_lease
from jobs.context import TaskContext
from jobs.object_store.contract import ObjectStorage
from schema.errors import RunyardError
from schema.logs import log_context
from schema.object_keys import session_prefix
from schema.wire import Wire

DELETED_AT_ONCE = 500

_log = structlog.stdlib.get_logger(__name__)


class Collected(Wire):
    """One pass: `busy` sessions were being saved and come next time."""

    sessions: int = 0
    busy: int = 0
    failed: int = 0
    retired: int = 0
    deleted: int = 0


def collect_garbage(context: TaskContext) -> Collected:
    """One session after the other, each in its turn; safe to run by several at once."""
    total = Collected()
    for session_id in context.database.transact(sessions_with_objects):
        if context.store is None or context.closing.is_set():
            break
        with log_context(sessionId=session_id):
            total = _added(total, _collect(context, context.store, session_id))
    if total.deleted or total.retired or total.failed:
        _log.info("garbage.collected", **total.model_dump())
    return total


def rules(context: TaskContext) -> GarbageRules:
    settings = context.settings
    return GarbageRules(grace_seconds=settings.garbage_grace_hours * 3600, kept_days=settings.message_snapshots_days)


def _collect(context: TaskContext, store: ObjectStorage, session_id: UUID) -> Collected:
    lock_seconds = context.sync_leases.lock_seconds
    turn = context.database.transact(take_sync_lease, session_id, owner=context.claimer, lock_seconds=lock_seconds)
    if turn is None:
        return Collected(busy=1)
    with context.sync_leases.renewing(turn):
        try:
            retired = context.database.transact(retire_snapshots, turn, rules=rules(context), lock_seconds=lock_seconds)
            return Collected(sessions=1, retired=retired, deleted=_delete(context, store, turn))
        except RunyardError as error:
            _log.warning("garbage.left", why=error.detail)
            return Collected(failed=1)
        finally:
            context.database.transact(end_sync_lease, turn)


def _delete(context: TaskContext, store: ObjectStorage, turn: SyncLease) -> int:
    """How many objects it deleted."""
    listed = [Listed(each.key, each.last_modified) for each in store.list(session_prefix(turn.session_id))]
    doomed = context.database.transact(
        mark_for_deletion,
        turn,
        listed,
        owner=context.claimer,
        rules=rules(context),
        lock_seconds=context.sync_leases.lock_seconds,
    )
    deleted = 0
    for start in range(0, len(doomed), DELETED_AT_ONCE):
        keys = doomed[start : start + DELETED_AT_ONCE]
        if not context.sync_leases.is_held(turn):
            break
        store.delete(keys)
        context.database.transact(
            forget_deleted, turn, keys, owner=context.claimer, lock_seconds=context.sync_leases.lock_seconds
        )
        deleted += len(keys)
    return deleted


def _added(a: Collected, b: Collected) -> Collected:
    return Collected(**{name: getattr(a, name) + getattr(b, name) for name in Collected.model_fields})

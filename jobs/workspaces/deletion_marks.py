"""Forget the marks of deleted objects, also when PostgreSQL goes away after the deletion.

Marks of a live job worker keep every save from the objects, so that a save of the session would fail until garbage is
collected again. Marks of an ended job worker count for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from handlers.workspaces.garbage import forget_deleted
from handlers.workspaces.sync import SyncLease
from jobs.context import TaskContext
from jobs.runtime.database import Away

PAUSE_SECONDS = 0.5

_log = structlog.stdlib.get_logger(__name__)


def forget_marks(context: TaskContext, lease: SyncLease, keys: Sequence[str]) -> None:
    """Forget the marks of objects whose deletion is over. Wait for PostgreSQL until this process ends."""
    while True:
        try:
            context.database.transact(
                forget_deleted, lease, keys, owner=context.claimer, lock_seconds=context.sync_leases.lock_seconds
            )
        except Away:
            if context.closing.wait(PAUSE_SECONDS):
                raise
            _log.warning("marks.kept", count=len(keys), then="tried again")
        else:
            return

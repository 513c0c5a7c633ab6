"""Renew the sync leases of sessions while jobs sync or collect garbage, however long the store takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from handlers.workspaces.sync import SyncLease, renew_sync_lease
from jobs.runtime.database import JobDatabase
from schema.isolation import isolated


class SyncLeases:
    """The sync leases of this process. A periodic task calls `renew_all` four times within a lock's time."""

    def __init__(self, database: JobDatabase, *, lock_seconds: float) -> None:
        self._database = database
        self.lock_seconds = lock_seconds
        self._lock = threading.Lock()
        self._renewing: set[SyncLease] = set()

    @property
    def interval_seconds(self) -> float:
        return self.lock_seconds / 4

    @contextmanager
    def renewing(self, lease: SyncLease) -> Iterator[None]:
        with self._lock:
            self._renewing.add(lease)
        try:
            yield
        finally:
            with self._lock:
                self._renewing.discard(lease)

    def is_held(self, lease: SyncLease) -> bool:
        """Renew the lease. Return whether this process still holds it."""
        return self._database.transact(renew_sync_lease, lease, lock_seconds=self.lock_seconds)

    def renew_all(self) -> None:
        with self._lock:
            leases = list(self._renewing)
        for lease in leases:
            with isolated("sync_lease.not_renewed", sessionId=lease.session_id):
                self.is_held(lease)

"""Turns in hand: while a job saves a session or clears it up, its turn is extended, however long the store takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from handlers.workspaces.sync import SyncLease, renew_sync_lease
from jobs.runtime.database import JobDatabase


class Turns:
    """One per process. `hold_all` is called several times within a lock's time."""

    def __init__(self, database: JobDatabase, *, lock_seconds: float) -> None:
        self._database = database
        self.lock_seconds = lock_seconds
        self._lock = threading.Lock()
        self._in_hand: set[SyncLease] = set()

    @property
    def interval_seconds(self) -> float:
        return self.lock_seconds / 4

    @contextmanager
    def in_hand(self, turn: SyncLease) -> Iterator[None]:
        with self._lock:
            self._in_hand.add(turn)
        try:
            yield
        finally:
            with self._lock:
                self._in_hand.discard(turn)

    def stands(self, turn: SyncLease) -> bool:
        """Whether it has not become another's meanwhile."""
        return self._database.transact(renew_sync_lease, turn, lock_seconds=self.lock_seconds)

    def hold_all(self) -> None:
        with self._lock:
            turns = list(self._in_hand)
        for turn in turns:
            self.stands(turn)

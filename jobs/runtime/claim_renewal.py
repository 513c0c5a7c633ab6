"""Claims in hand: while a job works on a run, its claim is extended, however long an executor takes to start."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from handlers.runs.claim import claim_stands, renew_claim
from jobs.runtime.database import JobDatabase
from schema.rows import RunRow


class Claims:
    """One per process. `hold_all` is called several times within a lock's time."""

    def __init__(self, database: JobDatabase, *, lock_seconds: float) -> None:
        self._database = database
        self._lock_seconds = lock_seconds
        self._lock = threading.Lock()
        self._in_hand: dict[tuple[UUID, int], RunRow] = {}

    @property
    def interval_seconds(self) -> float:
        return self._lock_seconds / 4

    @contextmanager
    def in_hand(self, run: RunRow) -> Iterator[None]:
        with self._lock:
            self._in_hand[run.id, run.claim] = run
        try:
            yield
        finally:
            with self._lock:
                del self._in_hand[run.id, run.claim]

    def stands(self, run: RunRow) -> bool:
        """Whether the run is still this job's: not stopped, and not claimed by another meanwhile."""
        return self._database.call(claim_stands, run)

    def hold_all(self) -> None:
        with self._lock:
            runs = list(self._in_hand.values())
        for run in runs:
            self._database.call(renew_claim, run, lock_seconds=self._lock_seconds)

"""Renew the claims of runs while jobs work on them, however long an executor takes to start."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from handlers.runs.claim import claim_stands, renew_claim
from jobs.runtime.database import JobDatabase
from schema.isolation import isolated
from schema.rows import RunRow


class Claims:
    """The claims of this process. A periodic task calls `renew_all` four times within a lock's time.

    `failed` are the claims of jobs that ended with an error, so that nothing works on their runs.
    """

    def __init__(self, database: JobDatabase, *, lock_seconds: float) -> None:
        self._database = database
        self._lock_seconds = lock_seconds
        self._lock = threading.Lock()
        self._renewing: dict[tuple[UUID, int], RunRow] = {}
        self._failed: dict[tuple[UUID, int], RunRow] = {}

    @property
    def interval_seconds(self) -> float:
        return self._lock_seconds / 4

    @contextmanager
    def renewing(self, run: RunRow) -> Iterator[None]:
        with self._lock:
            self._renewing[run.id, run.claim] = run
        try:
            yield
        except Exception:
            with self._lock:
                self._failed[run.id, run.claim] = run
            raise
        finally:
            with self._lock:
                del self._renewing[run.id, run.claim]

    def is_held(self, run: RunRow) -> bool:
        """Whether this job still holds the run: it was neither stopped nor claimed by another job."""
        return self._database.call(claim_stands, run)

    @property
    def failed(self) -> list[RunRow]:
        with self._lock:
            return list(self._failed.values())

    def forget_failed(self, run: RunRow) -> None:
        with self._lock:
            self._failed.pop((run.id, run.claim), None)

    def renew_all(self) -> None:
        with self._lock:
            runs = list(self._renewing.values())
        for run in runs:
            with isolated("claim.not_renewed", runId=run.id, sessionId=run.session_id):
                self._database.call(renew_claim, run, lock_seconds=self._lock_seconds)

"""Know whether the object store takes writes, by a small object that is written again and again."""

from __future__ import annotations

import time

from jobs.object_store.errors import StoreError
from jobs.object_store.s3 import PROBE_PREFIX, Bucket

KEY = f"{PROBE_PREFIX}writing"
"""One key for all job workers, never deleted: a store that keeps versions or refuses deletions collects no keys."""
NOT_YET = "The object store has not answered yet."


VERSION_SECONDS = 3600.0
"""The time between two writes to a bucket that keeps each as a version."""


class StoreWriting:
    """A periodic task. `fault` is a sentence, None while the store takes writes.

    A bucket that keeps versions gets a new one only every VERSION_SECONDS and while there is a fault. In between, a
    write that the existing object refuses shows that the store answers and takes the key.
    """

    def __init__(self, store: Bucket) -> None:
        self._store = store
        self._keeps_versions = False
        self._written_at = 0.0
        self.fault: str | None = NOT_YET

    def run_once(self) -> None:
        try:
            self._probe()
        except StoreError as error:
            self.fault = error.detail
        else:
            self.fault = None

    def _probe(self) -> None:
        is_recent = time.monotonic() - self._written_at < VERSION_SECONDS
        if self._keeps_versions and is_recent and self.fault is None:
            self._store.write(KEY, b"1", only_if_absent=True)
            return
        self._keeps_versions = self._store.try_writing(KEY)
        self._written_at = time.monotonic()

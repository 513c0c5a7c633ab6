"""Know whether the object store takes writes, by a small object that is written again and again."""

from __future__ import annotations

from jobs.object_store.errors import StoreError
from jobs.object_store.s3 import PROBE_PREFIX, Bucket

KEY = f"{PROBE_PREFIX}writing"
"""One key for all job workers, never deleted: a store that keeps versions or refuses deletions collects no keys."""
NOT_YET = "The object store has not answered yet."


class StoreWriting:
    """A periodic task. `fault` is a sentence, None while the store takes writes."""

    def __init__(self, store: Bucket) -> None:
        self._store = store
        self.fault: str | None = NOT_YET

    def run_once(self) -> None:
        try:
            self._store.write(KEY, b"1")
        except StoreError as error:
            self.fault = error.detail
        else:
            self.fault = None

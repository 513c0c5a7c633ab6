"""Know whether the object store takes writes, by a small object that is written and deleted again and again."""

from __future__ import annotations

import secrets
from contextlib import suppress

from jobs.object_store.errors import StoreError
from jobs.object_store.s3 import PROBE_PREFIX, Bucket

NOT_YET = "The object store has not answered yet."


class StoreWriting:
    """A periodic task. `fault` is a sentence, None while the store takes writes."""

    def __init__(self, store: Bucket) -> None:
        self._store = store
        self.fault: str | None = NOT_YET

    def run_once(self) -> None:
        key = f"{PROBE_PREFIX}{secrets.token_hex(8)}"
        try:
            self._store.write(key, b"1")
        except StoreError as error:
            self.fault = error.detail
            return
        self.fault = None
        with suppress(StoreError):  # a key that may not delete can still save
            self._store.delete([key])

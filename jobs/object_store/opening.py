"""Open the object store: create its bucket and learn what it can do, as soon as it answers."""

from __future__ import annotations

import structlog

from jobs.object_store.errors import StoreError
from jobs.object_store.s3 import Bucket

_log = structlog.stdlib.get_logger(__name__)


class StoreOpening:
    """A periodic task: until the store answers once, create its bucket and probe its features."""

    def __init__(self, store: Bucket) -> None:
        self._store = store
        self._is_open = False

    def run_once(self) -> None:
        if self._is_open:
            return
        try:
            made = self._store.ensure_bucket()
            features = self._store.write_features()
        except StoreError as error:
            _log.warning("store.unreachable", kind=error.kind, why=error.detail)
            return
        self._is_open = True
        _log.info(
            "store.ready",
            bucket=self._store.settings.bucket,
            made=made,
            conditional_writes=features.refuses_existing,
            md5_etags=features.has_md5_etags,
        )

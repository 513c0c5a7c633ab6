"""Delete objects of S3: in bulk where the store can, else one by one.

Older stores take a bulk deletion by its MD5 alone, where the client adds newer checksums. Others have none at all.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from jobs.object_store.errors import ABSENT, KINDS, UNKNOWN, StoreError, translating_errors
from schema.errors import NotFound

KEYS_AT_ONCE = 1000
SINGLY_AT_A_TIME = 16
SILENT = frozenset({"network", "timeout"})
"""The kinds of StoreError after which no further key is tried."""

_log = structlog.stdlib.get_logger(__name__)


def send_md5(client: Any) -> None:
    """Have the client send Content-MD5 with bulk deletions, in place of a newer checksum. S3 takes either."""
    client.meta.events.register("before-call.s3.DeleteObjects", _add_md5)


def _add_md5(params: dict[str, Any], **_event: object) -> None:
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()
    params["context"].pop("checksum", None)


class Deletions:
    """Deletes objects of one bucket. The first refusal of a bulk deletion ends them for this process."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self.are_bulk = True

    def delete(self, keys: Collection[str]) -> None:
        """Delete the objects. Ignore missing keys. Try all keys, then raise StoreError when any is left."""
        ordered = sorted(keys)
        codes: list[str] = []
        for start in range(0, len(ordered), KEYS_AT_ONCE):
            codes += self._delete_some(ordered[start : start + KEYS_AT_ONCE])
        remaining = [code for code in codes if code not in ABSENT]
        if remaining:
            raise StoreError(
                KINDS.get(remaining[0], "broken"), store_code=remaining[0], action=f"deleting, {len(remaining)} left"
            )

    def _delete_some(self, keys: Sequence[str]) -> list[str]:
        """Return the store's codes of the keys that it refused."""
        if self.are_bulk:
            try:
                return self._delete_in_bulk(keys)
            except StoreError as error:
                if error.store_code not in UNKNOWN:
                    raise
                self.are_bulk = False
                _log.info("store.deletes_singly", storeCode=error.store_code)
        with ThreadPoolExecutor(SINGLY_AT_A_TIME, thread_name_prefix="deletions") as threads:
            return [code for code in threads.map(self._delete_one, keys) if code]

    def _delete_in_bulk(self, keys: Sequence[str]) -> list[str]:
        objects = [{"Key": key} for key in keys]
        with translating_errors("deleting"):
            answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
        return [error.get("Code", "") for error in answer.get("Errors", [])]

    def _delete_one(self, key: str) -> str | None:
        """Return the store's code if it refused. Raise StoreError if it is silent."""
        try:
            with translating_errors("deleting"):
                self._client.delete_object(Bucket=self._bucket, Key=key)
        except NotFound:
            return None
        except StoreError as error:
            if error.kind in SILENT:
                raise
            return error.store_code or error.kind
        return None

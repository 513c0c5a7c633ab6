"""Check the key with which the API reads the object store: it reads, and the store refuses its writes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

from jobs.doctor import Finding
from jobs.doctor.store import CONTENT, PART, PATIENCE_SECONDS
from jobs.object_store.errors import StoreError
from jobs.object_store.s3 import PROBE_PREFIX, Bucket, make_store
from jobs.object_store.settings import StoreSettings
from schema.errors import NotFound

NAMES = "S3_READ_ACCESS_KEY_ID and S3_READ_SECRET_ACCESS_KEY"


def check_reading_key(settings: StoreSettings | None, reading: StoreSettings | None) -> list[Finding]:
    """Return nothing without a store, or when the store itself fails: its own check tells that."""
    if settings is None:
        return []
    if reading is None:
        advice = f"give the API a key of its own that only reads: {NAMES}"
        return [Finding(PART, "note", "the API reads with the job worker's key, which can also write", advice)]
    store, reader = (make_store(each, read_seconds=PATIENCE_SECONDS, attempts=1) for each in (settings, reading))
    key = f"{PROBE_PREFIX}{secrets.token_hex(8)}/read"
    try:
        store.write(key, CONTENT)
        try:
            return list(_look(store, reader, key))
        finally:
            store.delete([key, _other(key)])
    except StoreError:
        return []


def _look(store: Bucket, reader: Bucket, key: str) -> Iterator[Finding]:
    try:
        if reader.read(key) != CONTENT:
            yield Finding(PART, "wrong", "the API's key read other content than was written", "use another store")
            return
    except (StoreError, NotFound) as error:
        yield Finding(PART, "wrong", f"the API's key cannot read: {error.detail}", f"check {NAMES}")
        return
    if _succeeds(lambda: reader.write(_other(key), CONTENT)) or store.sizes([_other(key)]):
        yield Finding(PART, "wrong", "the API's key can write", "take every right but reading objects from it")
    elif _succeeds(lambda: reader.delete([key])) or not store.sizes([key]):
        yield Finding(PART, "wrong", "the API's key can delete", "take every right but reading objects from it")
    else:
        yield Finding(PART, "ok", "the API's key reads, and the store refuses its writes and deletions")


def _succeeds(act: Callable[[], object]) -> bool:
    try:
        act()
    except StoreError:
        return False
    return True


def _other(key: str) -> str:
    return f"{key}-written"

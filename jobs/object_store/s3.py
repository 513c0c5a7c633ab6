"""The adapter for S3: the only module that knows S3. It works with any endpoint of that API, by path-style URLs.

Every failure raises StoreError (jobs/object_store/errors.py) with a kind and a sentence. Neither holds a secret.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cached_property
from os.path import commonprefix
from typing import Any, cast

import structlog
from botocore import exceptions as botocore_errors

from jobs.object_store.client import ATTEMPTS, READ_SECONDS, make_config, open_client
from jobs.object_store.contract import StoredObject, UploadTerms, WriteFeatures
from jobs.object_store.deletions import Deletions
from jobs.object_store.errors import (
    EXISTS,
    UNKNOWN,
    StoreError,
    code_of,
    from_answer,
    from_trouble,
    translating_errors,
)
from jobs.object_store.settings import StoreSettings
from schema.errors import NotFound

QUICK_SECONDS = 5.0
MAX_READ_BYTES = 256 * 1024 * 1024
HEADS_AT_A_TIME = 16
PAGE_KEYS = 1000
PROBE_PREFIX = "runyard-probes/"
ABSENT_KEY = f"{PROBE_PREFIX}absent"

_log = structlog.stdlib.get_logger(__name__)


def make_store(settings: StoreSettings, *, read_seconds: float = READ_SECONDS, attempts: int = ATTEMPTS) -> Bucket:
    """Create a client without calling the store. Silence the libraries' debug lines, which hold signatures."""
    for logger_name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(logger_name).setLevel(logging.WARNING)
    config = make_config(read_seconds=read_seconds, attempts=attempts)
    client = open_client(settings, settings.endpoint_url, config)
    worker_url = settings.worker_endpoint_url
    signing = client if worker_url in {None, settings.endpoint_url} else open_client(settings, worker_url, config)
    return Bucket(settings, client, signing)


class Bucket:
    """The objects of one deployment (jobs.object_store.contract.ObjectStorage).

    The methods are thread-safe and raise StoreError.
    """

    def __init__(self, settings: StoreSettings, client: Any, signing: Any) -> None:
        self.settings = settings
        self._name = settings.bucket
        self._client = client
        self._signing = signing
        self._deletions = Deletions(client, settings.bucket)
        self._probe_lock = threading.Lock()
        self._features: WriteFeatures | None = None

    def download_link(self, key: str, seconds: float | None = None) -> str:
        """Return a presigned URL for GET, valid for `seconds`. It is a secret until it expires."""
        return self._link("get_object", key, seconds, {})

    def upload_link(self, key: str, terms: UploadTerms, seconds: float | None = None) -> str:
        """Return a presigned URL for a PUT on these terms. Its headers (schema/upload_headers.py) are signed too."""
        signed: dict[str, object] = {"ContentLength": terms.size}
        if terms.md5 is not None:
            signed["ContentMD5"] = terms.md5
        if terms.once:
            signed["IfNoneMatch"] = "*"
        return self._link("put_object", key, seconds, signed)

    def _link(self, operation: str, key: str, seconds: float | None, signed: dict[str, object]) -> str:
        with translating_errors("signing"):
            address: str = self._signing.generate_presigned_url(
                operation,
                Params={"Bucket": self._name, "Key": key, **signed},
                ExpiresIn=int(seconds or self.settings.link_seconds),
            )
        return address

    def find(self, keys: Collection[str]) -> dict[str, StoredObject]:
        """Return the existing objects by key. Use a listing while it is cheaper than a HEAD per key."""
        requested = set(keys)
        if len(requested) <= HEADS_AT_A_TIME:
            return self._find_by_head(requested)
        prefix = commonprefix(list(requested)).rpartition("/")  # noqa: RUF071  keys, cut at their last slash
        found: dict[str, StoredObject] = {}
        remaining = len(requested) // HEADS_AT_A_TIME
        for page in self._pages(prefix[0] + prefix[1]):
            found |= {stored.key: stored for stored in page if stored.key in requested}
            remaining -= 1
            if len(found) == len(requested):
                return found
            if not remaining:
                return found | self._find_by_head(requested - found.keys())
        return found

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        """Return the sizes in bytes of the existing keys."""
        return {key: stored.size for key, stored in self.find(keys).items()}

    def read(self, key: str, *, max_bytes: int = MAX_READ_BYTES) -> bytes:
        """Return the object's bytes. Raise NotFound without an object, StoreError `too_large` before reading it."""
        with translating_errors("reading"):
            answer = self._client.get_object(Bucket=self._name, Key=key)
            with closing(answer["Body"]) as body:
                if answer["ContentLength"] > max_bytes:
                    raise StoreError("too_large")
                return cast(bytes, body.read())

    def write(self, key: str, content: bytes, *, only_if_absent: bool = False) -> bool:
        """Write an object. Return False and write nothing when it exists and `only_if_absent` is set.

        Without conditional writes, the adapter checks before it writes. A concurrent writer of the key can defeat that.
        """
        if not only_if_absent:
            self._put(key, content)
            return True
        if self.has_conditional_writes():
            return self._put_if_absent(key, content)
        if self._find_by_head({key}):
            return False
        self._put(key, content)
        return True

    def try_writing(self, key: str) -> bool:
        """Write a small object. Return whether a bucket with versions kept one of it, which could not be deleted."""
        version = self._put(key, b"1")
        if version is None:
            return False
        try:
            with translating_errors("deleting a version"):
                self._client.delete_object(Bucket=self._name, Key=key, VersionId=version)
        except (NotFound, StoreError):
            return True
        return False

    def copy(self, source: StoredObject, key: str) -> str:
        """Copy an object within the store and return the copy's ETag. Ceph copies what has another `etag` by now."""
        with translating_errors("copying"):
            answer = self._client.copy_object(
                Bucket=self._name,
                Key=key,
                CopySource={"Bucket": self._name, "Key": source.key},
                CopySourceIfMatch=f'"{source.etag}"',
            )
        return cast(str, answer["CopyObjectResult"]["ETag"]).strip('"')

    def delete(self, keys: Collection[str]) -> None:
        """Delete the objects. Ignore missing keys. Try all keys, then raise StoreError when any is left."""
        self._deletions.delete(keys)

    @cached_property
    def _quick(self) -> Any:
        """A client that tries once, and for a short time."""
        config = make_config(read_seconds=QUICK_SECONDS, attempts=1)
        return open_client(self.settings, self.settings.endpoint_url, config)

    @property
    def has_bulk_deletions(self) -> bool:
        """Whether the store took all bulk deletions until now."""
        return self._deletions.are_bulk

    def ensure_bucket(self) -> bool:
        """Create the bucket unless it exists. Return whether it was created."""
        if self.has_bucket():
            return False
        region = self.settings.region
        location = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            with translating_errors("creating the bucket"):
                self._client.create_bucket(Bucket=self._name, **location)
        except StoreError as error:
            if error.store_code != "BucketAlreadyOwnedByYou":
                raise
        return True

    def has_bucket(self) -> bool:
        try:
            with translating_errors("looking for the bucket"):
                self._client.head_bucket(Bucket=self._name)
        except (NotFound, StoreError) as error:
            if isinstance(error, StoreError) and error.kind != "no_bucket":
                raise
            return False
        return True

    def fault(self) -> str | None:
        """Return why no object can be read now, as a sentence; None when the store answers. Try once, for seconds.

        A store may answer for the bucket and fail for objects: look for an object that nobody writes, too.
        """
        try:
            with translating_errors("looking for the bucket"):
                self._quick.head_bucket(Bucket=self._name)
        except NotFound:
            return StoreError("no_bucket").detail
        except StoreError as error:
            return error.detail
        try:
            with translating_errors("reading an object"):
                self._quick.get_object(Bucket=self._name, Key=ABSENT_KEY)["Body"].close()
        except NotFound:
            return None
        except StoreError as error:
            return error.detail
        return None

    def remove_empty_bucket(self) -> None:
        with translating_errors("removing the bucket"):
            self._client.delete_bucket(Bucket=self._name)

    def has_conditional_writes(self) -> bool:
        return self.write_features().refuses_existing

    def write_features(self) -> WriteFeatures:
        """Return what the store does with writes. Try it once with a probe object, which is then deleted."""
        with self._probe_lock:
            if self._features is None:
                self._features = self._try_writes()
            return self._features

    def has_multipart(self, key: str) -> bool:
        """Whether the store supports multipart uploads, which Runyard does not need. Begin and abort an upload."""
        try:
            with translating_errors("beginning a multipart upload"):
                begun = self._client.create_multipart_upload(Bucket=self._name, Key=key)
                self._client.abort_multipart_upload(Bucket=self._name, Key=key, UploadId=begun["UploadId"])
        except StoreError as error:
            if error.store_code in UNKNOWN:
                return False
            raise
        return True

    def _try_writes(self) -> WriteFeatures:
        key, content = f"{PROBE_PREFIX}{secrets.token_hex(8)}", b"1"
        try:
            is_first = self._tries_if_absent(key, content)
            if not is_first:
                self._put(key, content)
            etags = {stored.etag for stored in self._find_by_head({key}).values()}
            refuses = is_first is True and self._tries_if_absent(key, b"2") is False
        finally:
            self._clean_up(key)
        return WriteFeatures(refuses, hashlib.md5(content, usedforsecurity=False).hexdigest() in etags)

    def _tries_if_absent(self, key: str, content: bytes) -> bool | None:
        """Return as `_put_if_absent` does; None where the store does not know the condition."""
        try:
            return self._put_if_absent(key, content)
        except StoreError as error:
            if error.store_code in UNKNOWN:
                return None
            raise

    def _clean_up(self, key: str) -> None:
        """Delete a probe. A store that refuses that has answered the probe's question all the same."""
        try:
            self.delete([key])
        except StoreError as error:
            _log.warning("store.probe_left", key=key, why=error.detail)

    def _put(self, key: str, content: bytes) -> str | None:
        """Write an object. Return its version, None in a bucket without versions."""
        with translating_errors("writing"):
            answer = self._client.put_object(Bucket=self._name, Key=key, Body=content)
        version = answer.get("VersionId")
        return None if version in {None, "null"} else str(version)

    def _put_if_absent(self, key: str, content: bytes) -> bool:
        try:
            self._client.put_object(Bucket=self._name, Key=key, Body=content, IfNoneMatch="*")
        except botocore_errors.ClientError as error:
            if code_of(error) in EXISTS:
                return False
            raise from_answer(error, "writing") from None
        except botocore_errors.BotoCoreError as error:
            raise from_trouble(error, "writing") from None
        return True

    def _find_by_head(self, keys: Collection[str]) -> dict[str, StoredObject]:
        with ThreadPoolExecutor(HEADS_AT_A_TIME, thread_name_prefix="heads") as threads:
            return {stored.key: stored for stored in threads.map(self._head, keys) if stored is not None}

    def _head(self, key: str) -> StoredObject | None:
        try:
            with translating_errors("looking for an object"):
                head = self._client.head_object(Bucket=self._name, Key=key)
        except NotFound:
            return None
        return StoredObject(key, head["ContentLength"], head["LastModified"], head["ETag"].strip('"'))

    def _pages(self, prefix: str, *, page_keys: int = PAGE_KEYS) -> Iterator[list[StoredObject]]:
        paginator = self._client.get_paginator("list_objects_v2")
        pages = iter(paginator.paginate(Bucket=self._name, Prefix=prefix, PaginationConfig={"PageSize": page_keys}))
        while True:
            with translating_errors("listing"):
                page = next(pages, None)
            if page is None:
                return
            yield [
                StoredObject(entry["Key"], entry["Size"], entry["LastModified"], entry["ETag"].strip('"'))
                for entry in page.get("Contents", [])
            ]

    def list(self, prefix: str, *, page_keys: int = PAGE_KEYS) -> Iterator[StoredObject]:
        """Yield all objects whose key begins with `prefix`."""
        for page in self._pages(prefix, page_keys=page_keys):
            yield from page

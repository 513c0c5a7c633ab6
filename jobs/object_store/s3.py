"""The object store: the only place that knows S3. Any endpoint of that API, by path-style addresses.

Every failure is one StoreError (jobs/object_store/errors.py) with a kind and a sentence; neither holds a secret.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cache
from os.path import commonprefix
from typing import Any, cast

import boto3
import structlog
from botocore import exceptions as said
from botocore.config import Config

from jobs.object_store.contract import StoredObject
from jobs.object_store.errors import ABSENT, EXISTS, KINDS, StoreError, code_of, from_answer, from_trouble, translated
from jobs.object_store.settings import StoreSettings
from schema.errors import NotFound

CONNECT_SECONDS = 3.0
READ_SECONDS = 30.0
ATTEMPTS = 3
CONNECTIONS = 32
MAX_READ_BYTES = 256 * 1024 * 1024
HEADS_AT_A_TIME = 16
PAGE_KEYS = 1000
UNKNOWN = {"NotImplemented", "501", "InvalidArgument", "InvalidRequest", "MethodNotAllowed", "405"}
"""How stores say that they do not know a thing."""
PROBE_PREFIX = "runyard-probes/"

_opening = threading.Lock()
"""A session makes one client at a time; the clients themselves are for many threads."""
_log = structlog.stdlib.get_logger(__name__)


def make_store(settings: StoreSettings, *, read_seconds: float = READ_SECONDS, attempts: int = ATTEMPTS) -> Bucket:
    """Nothing is asked of the store yet. The libraries' own debug lines hold signatures, so they are never on."""
    for chatty in ("boto3", "botocore", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    config = _config(read_seconds=read_seconds, attempts=attempts)
    own = _client(settings, settings.endpoint_url, config)
    elsewhere = settings.worker_endpoint_url
    signing = own if elsewhere in {None, settings.endpoint_url} else _client(settings, elsewhere, config)
    return Bucket(settings, own, signing)


@cache
def _session() -> Any:
    """One for the process: it reads the description of S3 once, which takes longer than all else here."""
    return boto3.session.Session()


def _config(*, read_seconds: float, attempts: int) -> Config:
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=read_seconds,
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        # Newer checksums only where an operation demands one: many stores do not know them.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def _client(settings: StoreSettings, endpoint_url: str | None, config: Config) -> Any:
    with translated("opening"), _opening:
        return _session().client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=settings.region,
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=settings.secret_access_key,
            config=config,
        )


class Bucket:
    """The objects of one deployment (jobs.object_store.contract.Objects). Usable from many threads; raises
    StoreError."""

    def __init__(self, settings: StoreSettings, own: Any, signing: Any) -> None:
        self.settings = settings
        self._name = settings.bucket
        self._own = own
        self._signing = signing
        self._probed = threading.Lock()
        self._is_conditional: bool | None = None

    def link(self, method: str, key: str, seconds: float | None = None) -> str:
        """An address that does one thing, GET or PUT, for some seconds without a credential; a secret meanwhile."""
        operation = {"GET": "get_object", "PUT": "put_object"}[method]
        with translated("signing"):
            address: str = self._signing.generate_presigned_url(
                operation,
                Params={"Bucket": self._name, "Key": key},
                ExpiresIn=int(seconds or self.settings.link_seconds),
            )
        return address

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        """In bytes; without those that are not there. By a listing as long as that is cheaper than to ask for each."""
        wanted = set(keys)
        if len(wanted) <= HEADS_AT_A_TIME:
            return self._sizes_by_head(wanted)
        prefix = commonprefix(list(wanted)).rpartition("/")  # noqa: RUF071  keys, cut at their last slash
        found: dict[str, int] = {}
        left = len(wanted) // HEADS_AT_A_TIME
        for page in self._pages(prefix[0] + prefix[1]):
            found |= {stored.key: stored.size for stored in page if stored.key in wanted}
            left -= 1
            if len(found) == len(wanted):
                return found
            if not left:
                return found | self._sizes_by_head(wanted - found.keys())
        return found

    def read(self, key: str, *, max_bytes: int = MAX_READ_BYTES) -> bytes:
        """The whole object. Raises NotFound when it is not there; StoreError `too_large` without reading it."""
        with translated("reading"):
            answer = self._own.get_object(Bucket=self._name, Key=key)
            with closing(answer["Body"]) as body:
                if answer["ContentLength"] > max_bytes:
                    raise StoreError("too_large")
                return cast(bytes, body.read())

    def write(self, key: str, content: bytes, *, only_if_absent: bool = False) -> bool:
        """False, with nothing written, when it must be absent and is not. A store without conditional writes is asked
        before, which does not hold against another who writes the same key at that moment."""
        if not only_if_absent:
            self._put(key, content)
            return True
        if self.has_conditional_writes():
            return self._put_if_absent(key, content)
        if self._sizes_by_head({key}):
            return False
        self._put(key, content)
        return True

    def delete(self, keys: Collection[str]) -> None:
        """What is not there already is no error. Raises StoreError when any is left, after trying all."""
        ordered = sorted(keys)
        refused: list[str] = []
        for start in range(0, len(ordered), PAGE_KEYS):
            objects = [{"Key": key} for key in ordered[start : start + PAGE_KEYS]]
            with translated("deleting"):
                answer = self._own.delete_objects(Bucket=self._name, Delete={"Objects": objects, "Quiet": True})
            refused += [error.get("Code", "") for error in answer.get("Errors", [])]
        left = [code for code in refused if code not in ABSENT]
        if left:
            raise StoreError(KINDS.get(left[0], "broken"), said=left[0], doing=f"deleting, {len(left)} are left")

    def ensure_bucket(self) -> bool:
        """Make the bucket unless it exists; whether it was made."""
        if self.has_bucket():
            return False
        region = self.settings.region
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            with translated("making the bucket"):
                self._own.create_bucket(Bucket=self._name, **place)
        except StoreError as error:
            if error.said != "BucketAlreadyOwnedByYou":
                raise
        return True

    def has_bucket(self) -> bool:
        try:
            with translated("looking for the bucket"):
                self._own.head_bucket(Bucket=self._name)
        except (NotFound, StoreError) as error:
            if isinstance(error, StoreError) and error.kind != "no_bucket":
                raise
            return False
        return True

    def remove_empty_bucket(self) -> None:
        with translated("removing the bucket"):
            self._own.delete_bucket(Bucket=self._name)

    def has_conditional_writes(self) -> bool:
        """Whether the store keeps `only_if_absent` by itself: tried once with an object that is deleted again."""
        with self._probed:
            if self._is_conditional is None:
                self._is_conditional = self._try_conditional_writes()
            return self._is_conditional

    def has_multipart(self, key: str) -> bool:
        """Nothing of ours needs it. An upload is begun and given up again."""
        try:
            with translated("beginning an upload in parts"):
                begun = self._own.create_multipart_upload(Bucket=self._name, Key=key)
                self._own.abort_multipart_upload(Bucket=self._name, Key=key, UploadId=begun["UploadId"])
        except StoreError as error:
            if error.said in UNKNOWN:
                return False
            raise
        return True

    def _try_conditional_writes(self) -> bool:
        key = f"{PROBE_PREFIX}{secrets.token_hex(8)}"
        try:
            return self._put_if_absent(key, b"1") and not self._put_if_absent(key, b"2")
        except StoreError as error:
            if error.said in UNKNOWN:
                return False
            raise
        finally:
            self.delete([key])

    def _put(self, key: str, content: bytes) -> None:
        with translated("writing"):
            self._own.put_object(Bucket=self._name, Key=key, Body=content)

    def _put_if_absent(self, key: str, content: bytes) -> bool:
        try:
            self._own.put_object(Bucket=self._name, Key=key, Body=content, IfNoneMatch="*")
        except said.ClientError as error:
            if code_of(error) in EXISTS:
                return False
            raise from_answer(error, "writing") from None
        except said.BotoCoreError as error:
            raise from_trouble(error, "writing") from None
        return True

    def _sizes_by_head(self, keys: Collection[str]) -> dict[str, int]:
        with ThreadPoolExecutor(HEADS_AT_A_TIME, thread_name_prefix="heads") as threads:
            sizes = dict(zip(keys, threads.map(self._size, keys), strict=True))
        return {key: size for key, size in sizes.items() if size is not None}

    def _size(self, key: str) -> int | None:
        try:
            with translated("looking for an object"):
                return int(self._own.head_object(Bucket=self._name, Key=key)["ContentLength"])
        except NotFound:
            return None

    def _pages(self, prefix: str, *, page_keys: int = PAGE_KEYS) -> Iterator[list[StoredObject]]:
        turned = self._own.get_paginator("list_objects_v2")
        pages = iter(turned.paginate(Bucket=self._name, Prefix=prefix, PaginationConfig={"PageSize": page_keys}))
        while True:
            with translated("listing"):
                page = next(pages, None)
            if page is None:
                return
            yield [StoredObject(one["Key"], one["Size"], one["LastModified"]) for one in page.get("Contents", [])]

    def list(self, prefix: str, *, page_keys: int = PAGE_KEYS) -> Iterator[StoredObject]:
        """All whose key begins with it."""
        for page in self._pages(prefix, page_keys=page_keys):
            yield from page


class StoreOpening:
    """A duty of the job worker: until the store has answered once, make its bucket and learn what it can do."""

    def __init__(self, store: Bucket) -> None:
        self._store = store
        self._is_open = False

    def run_once(self) -> None:
        if self._is_open:
            return
        try:
            made = self._store.ensure_bucket()
            conditional = self._store.has_conditional_writes()
        except StoreError as error:
            _log.warning("store.away", kind=error.kind, why=error.detail)
            return
        self._is_open = True
        _log.info("store.ready", bucket=self._store.settings.bucket, made=made, conditional_writes=conditional)

"""Check the object store, from its clock to presigned links as workers use them.

A silent store ends the checks: each further check would wait and fail too.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from jobs.doctor import Finding
from jobs.object_store.contract import UploadTerms
from jobs.object_store.errors import StoreError
from jobs.object_store.s3 import PROBE_PREFIX, Bucket, make_store
from jobs.object_store.settings import StoreSettings
from schema.errors import NotFound
from schema.upload_headers import content_md5, upload_headers

SKEW = timedelta(minutes=5)
"""The store refuses a skew of 15 minutes, and Runyard's callbacks refuse one of 5."""
PATIENCE_SECONDS = 5.0
CONTENT = b"what Runyard's doctor wrote\n" * 100
OTHER = CONTENT.swapcase()
PART = "object store"

SILENT = frozenset({"network", "timeout"})
"""The kinds of StoreError after which further checks are useless."""

Check = Callable[[Bucket, str], Iterator[Finding]]


def check_store(settings: StoreSettings | None) -> list[Finding]:
    if settings is None:
        advice = "set S3_BUCKET, and S3_ENDPOINT_URL unless the store is AWS"
        return [
            Finding(PART, "note", "none is configured: workspaces are not saved, and workers are never stopped", advice)
        ]
    prefix = f"{PROBE_PREFIX}{secrets.token_hex(8)}/"
    findings: list[Finding] = []
    try:
        for finding in _look(make_store(settings, read_seconds=PATIENCE_SECONDS, attempts=1), prefix):
            findings.append(finding)
    except StoreError as error:
        findings.append(Finding(PART, "wrong", error.detail, _advice(error)))
    return findings


def _look(store: Bucket, prefix: str) -> Iterator[Finding]:
    yield from _check_clock(store, prefix)
    if not store.has_bucket():
        advice = "create it, or start the job worker, which creates it if its key may"
        yield Finding(PART, "wrong", f"the bucket {store.settings.bucket} does not exist", advice)
        return
    yield Finding(PART, "ok", f"the store accepts the credentials, the bucket {store.settings.bucket} exists")
    try:
        for check in CHECKS:
            yield from _tried(check, store, prefix)
    finally:
        with suppress(StoreError):  # the checks have told whether it deletes
            store.delete([stored.key for stored in store.list(prefix)])


def _tried(check: Check, store: Bucket, prefix: str) -> Iterator[Finding]:
    try:
        yield from check(store, prefix)
    except StoreError as error:
        if error.kind in SILENT:
            raise
        yield Finding(PART, "wrong", error.detail, _advice(error))


def _check_clock(store: Bucket, prefix: str) -> Iterator[Finding]:
    """Compare clocks by the Date header of any answer, a refusal included."""
    try:
        date = httpx.get(store.download_link(f"{prefix}clock"), timeout=PATIENCE_SECONDS).headers.get("date")
    except httpx.HTTPError as error:
        yield _unreachable(store, error)
        return
    if date is None:
        yield Finding(PART, "note", "its answers have no Date header")
        return
    skew = abs(parsedate_to_datetime(date) - datetime.now(UTC))
    if skew > SKEW:
        advice = "set the clocks right (NTP): signatures fail"
        yield Finding(PART, "wrong", f"its clock differs from this machine's by {skew.total_seconds():.0f} s", advice)
        return
    yield Finding(PART, "ok", f"its clock differs from this machine's by less than {skew.total_seconds() + 1:.0f} s")


def _check_objects(store: Bucket, prefix: str) -> Iterator[Finding]:
    key = f"{prefix}object"
    store.write(key, CONTENT)
    if store.read(key) != CONTENT or store.sizes([key]) != {key: len(CONTENT)}:
        yield Finding(PART, "wrong", "it returned other content than was written", "use another store")
        return
    store.delete([key])
    try:
        store.read(key)
    except NotFound:
        yield Finding(PART, "ok", "objects can be written, read and deleted")
    else:
        yield Finding(PART, "wrong", "a deleted object still exists", "switch versioning or retention off")


def _check_links(store: Bucket, prefix: str) -> Iterator[Finding]:
    """Use presigned links as a worker does, at the workers' URL."""
    key, md5 = f"{prefix}linked", content_md5(CONTENT)
    once = store.has_conditional_writes()
    link = store.upload_link(key, UploadTerms(len(CONTENT), md5, once=once))
    headers = upload_headers(link, size=len(CONTENT), md5=md5)
    try:
        put = httpx.put(link, content=CONTENT, headers=headers, timeout=PATIENCE_SECONDS)
        again = httpx.put(link, content=CONTENT, headers=headers, timeout=PATIENCE_SECONDS)
        other = httpx.put(link, content=OTHER, headers=headers, timeout=PATIENCE_SECONDS)
        got = httpx.get(store.download_link(key), timeout=PATIENCE_SECONDS)
        without = httpx.get(store.download_link(key).partition("?")[0], timeout=PATIENCE_SECONDS)
    except httpx.HTTPError as error:
        yield _unreachable(store, error)
        return
    if not put.is_success or got.content != CONTENT:
        advice = "check S3_WORKER_ENDPOINT_URL, and that the key may sign links"
        yield Finding(PART, "wrong", f"links are refused (PUT {put.status_code}, GET {got.status_code})", advice)
        return
    if without.is_success:
        yield Finding(PART, "wrong", "its objects are readable without a signature", "make the bucket private")
        return
    if other.is_success or (once and again.is_success):
        yield Finding(PART, "wrong", "a link can be used twice, or for other bytes", "use another store")
        return
    yield Finding(PART, "ok", "links can put what they were signed for and get, and unsigned requests fail")


def _check_conditions(store: Bucket, _place: str) -> Iterator[Finding]:
    if store.has_conditional_writes():
        yield Finding(PART, "ok", "it supports conditional writes")
    else:
        what = "it lacks conditional writes; uploads take another name first and are copied to their own"
        yield Finding(PART, "note", what)


def _check_deletions(store: Bucket, prefix: str) -> Iterator[Finding]:
    store.delete([f"{prefix}one", f"{prefix}another"])
    if store.has_bulk_deletions:
        yield Finding(PART, "ok", "it deletes many objects at once")
    else:
        yield Finding(PART, "note", "it lacks deletions of many objects at once; Runyard deletes one by one")


def _check_multipart(store: Bucket, prefix: str) -> Iterator[Finding]:
    if store.has_multipart(f"{prefix}multipart"):
        yield Finding(PART, "ok", "it supports multipart uploads")
    else:
        yield Finding(
            PART, "note", "it lacks multipart uploads; Runyard needs none, it splits large files into objects"
        )


def _check_listing(store: Bucket, prefix: str) -> Iterator[Finding]:
    keys = {f"{prefix}list/{number}" for number in range(5)}
    for key in keys:
        store.write(key, b"")
    if {stored.key for stored in store.list(f"{prefix}list/", page_keys=2)} == keys:
        yield Finding(PART, "ok", "listings over several pages are complete")
    else:
        yield Finding(PART, "wrong", "listings over several pages are incomplete", "use another store")


CHECKS: tuple[Check, ...] = (
    _check_objects,
    _check_links,
    _check_deletions,
    _check_conditions,
    _check_multipart,
    _check_listing,
)


def _unreachable(store: Bucket, error: httpx.HTTPError) -> Finding:
    """Report the kind of error only: its text may hold the link. Raise StoreError when the store itself is silent."""
    settings = store.settings
    if isinstance(error, httpx.TimeoutException) and settings.worker_endpoint_url in {None, settings.endpoint_url}:
        raise StoreError("timeout", action="following a link")
    where = settings.worker_endpoint_url or settings.endpoint_url or "AWS"
    advice = "check S3_ENDPOINT_URL and S3_WORKER_ENDPOINT_URL, and that the store runs"
    return Finding(PART, "wrong", f"links to {where} do not answer ({type(error).__name__})", advice)


def _advice(error: StoreError) -> str:
    return {
        "network": "check S3_ENDPOINT_URL, and that the store runs",
        "timeout": "check the store's load and the network to it",
        "denied": "check S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, S3_REGION and the key's rights on the bucket",
        "skewed": "set the clocks right (NTP)",
        "no_bucket": "check S3_BUCKET",
        "busy": "check the store's load",
        "full": "add space to the store",
    }.get(error.kind, "check the store's own log")

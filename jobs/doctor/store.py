"""The object store, from the address to a link used as a worker would use it. One that does not answer ends it: each
check would find the same, after its own wait."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from jobs.doctor import Finding
from jobs.object_store.errors import StoreError
from jobs.object_store.s3 import PROBE_PREFIX, Bucket, make_store
from jobs.object_store.settings import StoreSettings
from schema.errors import NotFound

SKEW = timedelta(minutes=5)
"""The store refuses from fifteen minutes on, and our own callbacks from five."""
PATIENCE_SECONDS = 5.0
CONTENT = b"what Runyard's doctor wrote\n" * 100
PART = "object store"

SILENT = frozenset({"network", "timeout"})
"""Kinds of a StoreError after which nothing more is to be learned."""

Check = Callable[[Bucket, str], Iterator[Finding]]


def check_store(settings: StoreSettings | None) -> list[Finding]:
    if settings is None:
        todo = "set S3_BUCKET, and S3_ENDPOINT_URL unless it is AWS's"
        return [Finding(PART, "note", "there is none: nothing is saved, and no worker is ever stopped", todo)]
    place = f"{PROBE_PREFIX}{secrets.token_hex(8)}/"
    found: list[Finding] = []
    try:
        for finding in _look(make_store(settings, read_seconds=PATIENCE_SECONDS, attempts=1), place):
            found.append(finding)
    except StoreError as error:
        found.append(Finding(PART, "wrong", error.detail, _todo(error)))
    return found


def _look(store: Bucket, place: str) -> Iterator[Finding]:
    yield from _check_clock(store, place)
    if not store.has_bucket():
        todo = "make it, or start the job worker, which makes it if its key may"
        yield Finding(PART, "wrong", f"the bucket {store.settings.bucket} does not exist", todo)
        return
    yield Finding(PART, "ok", f"credentials are taken, the bucket {store.settings.bucket} is there")
    try:
        for check in CHECKS:
            yield from _tried(check, store, place)
    finally:
        store.delete([stored.key for stored in store.list(place)])


def _tried(check: Check, store: Bucket, place: str) -> Iterator[Finding]:
    try:
        yield from check(store, place)
    except StoreError as error:
        if error.kind in SILENT:
            raise
        yield Finding(PART, "wrong", error.detail, _todo(error))


def _check_clock(store: Bucket, place: str) -> Iterator[Finding]:
    """By the Date of any answer, also of a refusal."""
    try:
        said = httpx.get(store.link("GET", f"{place}clock"), timeout=PATIENCE_SECONDS).headers.get("date")
    except httpx.HTTPError as error:
        yield _unreachable(store, error)
        return
    if said is None:
        yield Finding(PART, "note", "it does not tell its time")
        return
    apart = abs(parsedate_to_datetime(said) - datetime.now(UTC))
    if apart > SKEW:
        todo = "set the clocks right (NTP): signatures fail"
        yield Finding(PART, "wrong", f"its clock and ours are {apart.total_seconds():.0f} s apart", todo)
        return
    yield Finding(PART, "ok", f"its clock and ours are less than {apart.total_seconds() + 1:.0f} s apart")


def _check_objects(store: Bucket, place: str) -> Iterator[Finding]:
    key = f"{place}object"
    store.write(key, CONTENT)
    if store.read(key) != CONTENT or store.sizes([key]) != {key: len(CONTENT)}:
        yield Finding(PART, "wrong", "it gave back something else than it was given", "use another store")
        return
    store.delete([key])
    try:
        store.read(key)
    except NotFound:
        yield Finding(PART, "ok", "objects are written, read and deleted")
    else:
        yield Finding(PART, "wrong", "what was deleted is still there", "switch versioning or retention off")


def _check_links(store: Bucket, place: str) -> Iterator[Finding]:
    """As a worker does, by the address that workers are given."""
    key = f"{place}linked"
    try:
        put = httpx.put(store.link("PUT", key), content=CONTENT, timeout=PATIENCE_SECONDS)
        got = httpx.get(store.link("GET", key), timeout=PATIENCE_SECONDS)
        without = httpx.get(store.link("GET", key).partition("?")[0], timeout=PATIENCE_SECONDS)
    except httpx.HTTPError as error:
        yield _unreachable(store, error)
        return
    if not put.is_success or got.content != CONTENT:
        todo = "check S3_WORKER_ENDPOINT_URL, and that the key may sign links"
        yield Finding(PART, "wrong", f"links are refused (PUT {put.status_code}, GET {got.status_code})", todo)
        return
    if without.is_success:
        yield Finding(PART, "wrong", "anybody may read its objects without a signature", "make the bucket private")
        return
    yield Finding(PART, "ok", "links put and get, and nothing works without one")


def _check_conditions(store: Bucket, _place: str) -> Iterator[Finding]:
    if store.has_conditional_writes():
        yield Finding(PART, "ok", "it has conditional writes")
    else:
        yield Finding(PART, "note", "it has no conditional writes; what must be absent is looked for before")


def _check_multipart(store: Bucket, place: str) -> Iterator[Finding]:
    if store.has_multipart(f"{place}multipart"):
        yield Finding(PART, "ok", "it has multipart uploads")
    else:
        yield Finding(PART, "note", "it has no multipart uploads; Runyard needs none, large files are many objects")


def _check_listing(store: Bucket, place: str) -> Iterator[Finding]:
    keys = {f"{place}list/{number}" for number in range(5)}
    for key in keys:
        store.write(key, b"")
    if {stored.key for stored in store.list(f"{place}list/", page_keys=2)} == keys:
        yield Finding(PART, "ok", "listings over several pages are whole")
    else:
        yield Finding(PART, "wrong", "listings over several pages are not whole", "use another store")


CHECKS: tuple[Check, ...] = (_check_objects, _check_links, _check_conditions, _check_multipart, _check_listing)


def _unreachable(store: Bucket, error: httpx.HTTPError) -> Finding:
    """The kind of trouble only: its text may hold the link. Raises StoreError where it is the store that is silent."""
    settings = store.settings
    if isinstance(error, httpx.TimeoutException) and settings.worker_endpoint_url in {None, settings.endpoint_url}:
        raise StoreError("timeout", doing="following a link")
    where = settings.worker_endpoint_url or settings.endpoint_url or "AWS"
    todo = "check S3_ENDPOINT_URL and S3_WORKER_ENDPOINT_URL, and that the store runs"
    return Finding(PART, "wrong", f"links to {where} do not answer ({type(error).__name__})", todo)


def _todo(error: StoreError) -> str:
    return {
        "network": "check S3_ENDPOINT_URL, and that the store runs",
        "timeout": "look at the store's load and the network between",
        "denied": "check S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, S3_REGION and the key's rights on the bucket",
        "skewed": "set the clocks right (NTP)",
        "no_bucket": "check S3_BUCKET",
        "busy": "look at the store's load",
        "full": "give the store space",
    }.get(error.kind, "look at the store's own log")

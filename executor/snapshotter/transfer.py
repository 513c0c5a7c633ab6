"""Move objects by pre-signed links. Every failure is retried, with a new link when the store refuses the old one.

Each thread keeps its connection.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar, NoReturn, TypeVar, cast
from urllib.parse import SplitResult, urlsplit

from executor.snapshotter.protocol import ExecutorChannel, Method, SnapshotterFailed
from schema.retry_after import retry_after_seconds
from schema.upload_headers import content_md5, upload_headers

TRIES = 8
DAMAGED_TRIES = 3
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
TIMEOUT_SECONDS = 30.0
SLOWEST_SECONDS = 60.0
SLOWEST_BYTES_A_SECOND = 100_000
PASSING_CODES = frozenset({"RequestTimeout", "ExpiredToken", "RequestTimeTooSkewed", "RequestExpired"})
"""The codes of answers with status 400 that another try, with a new link, does not get again."""
_CODE_WITHIN = 4096
_CHUNK = 1 << 20
_PIECE = 1 << 18
_SLACK_BYTES = 1 << 10
_REFUSAL_BYTES = 1 << 16
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})

T = TypeVar("T")
StoreResponse = tuple[int, http.client.HTTPMessage, bytes]
"""Status, headers, body."""
_own = threading.local()


class StoreFailed(SnapshotterFailed):
    """The object store is unreachable or refused the call."""

    code: ClassVar[str] = "store_failed"


class ObjectDamaged(SnapshotterFailed):
    """An object in the store differs from what was saved."""

    code: ClassVar[str] = "object_damaged"


class _Retry(Exception):
    """The call is worth another try with a new link, after `after` seconds when the store said so."""

    def __init__(self, why: str, *, after: float | None = None) -> None:
        self.after = after
        super().__init__(why)


def put_object(channel: ExecutorChannel, key: str, data: bytes) -> None:
    """Upload an object. Raises StoreFailed after TRIES tries.

    412: the object exists, perhaps by a try whose answer was lost. The control plane compares it before it commits.
    """
    md5 = content_md5(data)

    def put(address: str) -> None:
        sent = upload_headers(address, size=len(data), md5=md5)
        answer = _call("PUT", address, data, limit=_REFUSAL_BYTES, headers=sent)
        if answer[0] not in (200, 201, 204, 412):
            _refuse(answer, "an upload")

    _persist(lambda: put(channel.link("PUT", key, size=len(data), md5=md5)))


def get_object(channel: ExecutorChannel, key: str, *, limit: int, digest: str | None) -> bytes:
    """Return the object's bytes: at most `limit`, of this SHA-256 where it is known.

    Raises StoreFailed, or ObjectDamaged when the bytes differ on every try.
    """

    def get_whole() -> bytes:
        answer = _call("GET", channel.link("GET", key, size=None), None, limit=limit)
        status, _, data = answer
        if status != 200:
            _refuse_download(answer, key)
        if len(data) > limit or (digest is not None and hashlib.sha256(data).hexdigest() != digest):
            raise _Damaged
        return data

    return _persist(get_whole)


def get_object_into(channel: ExecutorChannel, key: str, place: memoryview, *, digest: str) -> None:
    """Fill `place`, which is as long as the object, with the object's bytes of this SHA-256. Raises as `get_object`
    does."""

    def fill() -> None:
        answer = _request("GET", channel.link("GET", key, size=len(place)), None, _NO_HEADERS)
        if answer.status != 200:
            _refuse_download((answer.status, answer.headers, _body(answer, _REFUSAL_BYTES)), key)
        hashed, size = hashlib.sha256(), 0
        for piece in _filled(answer, place):
            hashed.update(piece)
            size += len(piece)
        is_longer = bool(answer.read(1))
        _leave(answer)
        if is_longer or size < len(place) or hashed.hexdigest() != digest:
            raise _Damaged

    _persist(fill)


def _refuse_download(answer: StoreResponse, key: str) -> NoReturn:
    if answer[0] == 404:
        raise ObjectDamaged(
            "An object of the snapshot is missing from the store. Restore an older snapshot.",
            code="object_missing",
            key=key,
        )
    _refuse(answer, "a download")


class _Damaged(_Retry):
    def __init__(self) -> None:
        super().__init__("the object's bytes were cut off or altered")


def _persist(attempt: Callable[[], T]) -> T:
    pause = FIRST_PAUSE_SECONDS
    for tries in range(1, TRIES + 1):
        try:
            return attempt()
        except (_Retry, OSError, http.client.HTTPException) as error:
            _drop_connection()
            if isinstance(error, _Damaged) and tries >= DAMAGED_TRIES:
                raise ObjectDamaged(
                    "An object of the snapshot is damaged in the store. Restore an older snapshot."
                ) from None
            if tries == TRIES:
                raise StoreFailed(
                    f"The object store failed {TRIES} times, the last time with {error!r}. Check it, then try again."
                ) from None
            after = error.after if isinstance(error, _Retry) else None
            time.sleep(min(after or pause * random.uniform(0.5, 1.5), LONGEST_PAUSE_SECONDS))  # noqa: S311 - jitter
            pause *= 2
    raise AssertionError("unreachable")


def _refuse(answer: StoreResponse, call: str) -> NoReturn:
    """Raise a retry where a new link or a pause may help, else StoreFailed. An expired link gets 401 or 403."""
    status, headers, body = answer
    code = _code_of(body)
    why = f"The object store answered {status}{f' ({code})' if code else ''} to {call}."
    if status in (401, 403, 408, 409, 425, 429) or status >= 500 or (status == 400 and code in PASSING_CODES):
        raise _Retry(why, after=retry_after_seconds(headers.get("retry-after")))
    raise StoreFailed(why)


def _code_of(body: bytes) -> str:
    """Return the store's error code, empty when the body names none."""
    found = re.search(rb"<Code>([A-Za-z]{1,64})</Code>", body[:_CODE_WITHIN])
    return found[1].decode() if found else ""


def _call(
    method: Method, address: str, data: bytes | None, *, limit: int, headers: Mapping[str, str] = _NO_HEADERS
) -> StoreResponse:
    """Return status, headers and body. Reads at most `limit` bytes and a few more."""
    answer = _request(method, address, data, headers)
    body = _body(answer, limit + _SLACK_BYTES)
    _leave(answer)
    return answer.status, answer.headers, body


def _request(method: Method, address: str, data: bytes | None, headers: Mapping[str, str]) -> http.client.HTTPResponse:
    """Return the answer, whose body is not read yet."""
    parts = urlsplit(address)
    connection = _connection(parts)
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    connection.request(method, target, body=None if data is None else _pieces(data), headers=headers)
    return connection.getresponse()


def _leave(answer: http.client.HTTPResponse) -> None:
    """Keep the connection only when the whole answer was read from it."""
    if answer.will_close or not answer.isclosed():
        _drop_connection()


def _pieces(data: bytes) -> Iterator[memoryview]:
    """Yield the data in pieces, because the connection's timeout applies to each send."""
    deadline = _deadline(len(data))
    for start in range(0, len(data), _PIECE):
        if time.monotonic() > deadline:
            raise _Retry("the store took too long")
        yield memoryview(data)[start : start + _PIECE]


def _body(answer: http.client.HTTPResponse, limit: int) -> bytes:
    """Return the body. http.client reports no body that ends early, so callers check the length."""
    received = bytearray()
    deadline = _deadline(limit)
    while len(received) < limit:
        if time.monotonic() > deadline:
            raise _Retry("the answer took too long")
        chunk = answer.read(min(_CHUNK, limit - len(received)))
        if not chunk:
            break
        received += chunk
    return bytes(received)


def _filled(answer: http.client.HTTPResponse, place: memoryview) -> Iterator[memoryview]:
    """Read the body into `place`, and yield each piece of it. A body that ends early leaves the rest as it was."""
    at, deadline = 0, _deadline(len(place))
    while at < len(place):
        if time.monotonic() > deadline:
            raise _Retry("the answer took too long")
        count = answer.readinto(place[at : at + _PIECE])
        if not count:
            return
        yield place[at : at + count]
        at += count


def _deadline(size: int) -> float:
    return time.monotonic() + SLOWEST_SECONDS + size / SLOWEST_BYTES_A_SECOND


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    origin = (parts.scheme, parts.netloc)
    if getattr(_own, "origin", None) == origin:
        return cast(http.client.HTTPConnection, _own.connection)
    _drop_connection()
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=TIMEOUT_SECONDS, context=_tls_context()
        )
    elif parts.scheme == "http":
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    else:
        raise StoreFailed("A link to the object store is neither http nor https. Check the store's address.")
    _own.origin, _own.connection = origin, connection
    return connection


def _drop_connection() -> None:
    if getattr(_own, "origin", None) is not None:
        _own.connection.close()
        _own.origin = None


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """Return a TLS context with the system's certificates."""
    return ssl.create_default_context()

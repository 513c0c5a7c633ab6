"""Answer S3 requests (path style) from an `ObjectFolder`. Object bodies stream; none is complete in memory."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import formatdate
from functools import partial
from urllib.parse import unquote

from botocore.credentials import Credentials
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from cli.local.object_store_server import refusals, xml
from cli.local.object_store_server.bodies import (
    Incoming,
    ObjectRequest,
    copy_synced,
    range_of,
    raw_path,
    read_body,
    read_pieces,
    receive_to,
)
from cli.local.object_store_server.objects import ListedObject, ObjectFolder
from cli.local.object_store_server.refusals import S3Refused
from cli.local.object_store_server.signatures import SignedRequest, check_signature, claimed_key

MAX_KEYS = 1000
KEPT_HEADERS = ("content-type", "content-encoding", "content-disposition", "content-language", "cache-control")
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
READ_PARAMETERS = {"response-content-type", "response-content-disposition", "x-id", "partNumber"}
LIST_PARAMETERS = {
    *("list-type", "prefix", "delimiter", "max-keys", "continuation-token"),
    *("start-after", "encoding-type", "fetch-owner", "x-id"),
}

_log = logging.getLogger(__name__)


class S3Subset:
    """The ASGI application."""

    def __init__(self, objects: ObjectFolder, key: Credentials, *, reading_key: Credentials | None = None) -> None:
        self._objects = objects
        self._key = key
        self._reading_key = reading_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = Incoming(receive)
        request = Request(scope, body)
        try:
            answer = await self._answer(request)
        except S3Refused as refused:
            answer = await _refuse(refused, request, body)
        except ClientDisconnect:
            return
        except (OSError, sqlite3.Error) as error:
            _log.exception("store.failed")
            answer = await _refuse(_refusal_of(error), request, body)
        await answer(scope, body, send)

    async def _answer(self, request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if len(headers) < len(request.headers):
            raise refusals.REPEATED  # the signature could cover one value, and another one take effect
        signed_request = SignedRequest(request.method, raw_path(request), request.url.query, headers)
        key = self._key_of(signed_request)
        s3_request = ObjectRequest(request, digest=check_signature(signed_request, key=key, now=datetime.now(UTC)))
        if key is not self._key and request.method not in ("GET", "HEAD"):
            raise refusals.READS_ONLY
        kind = "object" if s3_request.key else "bucket" if s3_request.bucket else "server"
        verb: Callable[[ObjectRequest], Awaitable[Response]] | None = getattr(
            self, f"_{request.method.lower()}_{kind}", None
        )
        if verb is None:
            raise refusals.NOT_ALLOWED
        if kind == "object":
            _refuse_bad_key(s3_request.key)
        if kind != "server" and (request.method, kind) != ("PUT", "bucket"):
            await self._refuse_missing_bucket(s3_request.bucket)
        return await verb(s3_request)

    def _key_of(self, request: SignedRequest) -> Credentials:
        """Return the reading key for a request that names it, else the main key, which the signature must fit."""
        if self._reading_key is not None and claimed_key(request) == self._reading_key.access_key:
            return self._reading_key
        return self._key

    async def _refuse_missing_bucket(self, bucket: str) -> None:
        if not await asyncio.to_thread(self._objects.has_bucket, bucket):
            raise refusals.NO_BUCKET

    async def _get_server(self, _place: ObjectRequest) -> Response:
        return xml.buckets(await asyncio.to_thread(self._objects.buckets))

    async def _put_bucket(self, request: ObjectRequest) -> Response:
        request.refuse_parameters_but({"x-id"})
        if not (3 <= len(request.bucket) <= 63 and request.bucket.replace("-", "").replace(".", "").isalnum()):
            raise refusals.BAD_NAME
        await read_body(request)
        if not await asyncio.to_thread(self._objects.make_bucket, request.bucket):
            raise refusals.OWNED
        return Response(status_code=200, headers={"location": f"/{request.bucket}"})

    async def _head_bucket(self, _place: ObjectRequest) -> Response:
        return Response(status_code=200)

    async def _delete_bucket(self, request: ObjectRequest) -> Response:
        if not await asyncio.to_thread(self._objects.remove_bucket, request.bucket):
            raise refusals.NOT_EMPTY
        return Response(status_code=204)

    async def _get_bucket(self, request: ObjectRequest) -> Response:
        """Answer ListObjectsV2."""
        if "location" in request.query:
            return xml.location()
        request.refuse_parameters_but(LIST_PARAMETERS)
        if request.query.get("list-type") != "2":
            raise refusals.NOT_HERE
        max_keys = request.query.get("max-keys", str(MAX_KEYS))
        limit = min(int(max_keys), MAX_KEYS) if max_keys.isdecimal() else MAX_KEYS
        token = request.query.get("continuation-token")
        after = xml.after_of(token) if token else request.query.get("start-after", "")
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
        load_page = partial(
            self._objects.page, request.bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit
        )
        page = await asyncio.to_thread(load_page)
        return xml.listing(page, bucket=request.bucket, query=request.query, limit=limit)

    async def _post_bucket(self, request: ObjectRequest) -> Response:
        """Answer DeleteObjects."""
        if "delete" not in request.query:
            raise refusals.NOT_HERE
        keys = xml.keys_to_delete(await read_body(request))
        for key in keys:
            await asyncio.to_thread(self._objects.remove, request.bucket, key)
        return xml.deleted(keys)

    async def _put_object(self, request: ObjectRequest) -> Response:
        request.refuse_parameters_but({"x-id"})
        condition = request.header("if-none-match")
        if condition not in {"", "*"} or request.header("if-match"):
            raise refusals.NOT_HERE
        if source := request.header("x-amz-copy-source"):
            return await self._copy_object(request, source)
        if condition:
            await self._refuse_existing(request)
        draft = self._objects.draft()
        try:
            etag = await receive_to(draft, request)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        put = partial(self._objects.put, request.bucket, request.key, draft=draft, etag=etag)
        headers = _headers_to_keep(request.http_request)
        if not await asyncio.to_thread(put, headers=headers, only_if_absent=bool(condition)):
            raise refusals.PRECONDITION
        return Response(status_code=200, headers={"etag": f'"{etag}"'})

    async def _copy_object(self, request: ObjectRequest, source: str) -> Response:
        """Answer CopyObject, also of a source that must have an ETag still."""
        bucket, _, key = unquote(source).removeprefix("/").partition("/")
        opened = await asyncio.to_thread(self._objects.open, bucket, key)
        if opened is None:
            raise refusals.NO_KEY
        stored, descriptor = opened
        with os.fdopen(descriptor, "rb") as content:
            if request.header("x-amz-copy-source-if-match").strip('"') not in {"", stored.etag}:
                raise refusals.PRECONDITION
            draft = self._objects.draft()
            await asyncio.to_thread(copy_synced, content, draft)
        put = partial(self._objects.put, request.bucket, request.key, draft=draft, etag=stored.etag)
        await asyncio.to_thread(put, headers=stored.headers, only_if_absent=False)
        return xml.copied(etag=stored.etag)

    async def _refuse_existing(self, request: ObjectRequest) -> None:
        """Refuse an existing object before its body arrives. `put` decides again."""
        if await asyncio.to_thread(self._objects.find, request.bucket, request.key) is not None:
            raise refusals.PRECONDITION

    async def _head_object(self, request: ObjectRequest) -> Response:
        request.refuse_parameters_but(READ_PARAMETERS)
        stored = await asyncio.to_thread(self._objects.find, request.bucket, request.key)
        if stored is None:
            raise refusals.NO_KEY
        return Response(status_code=200, headers={**_headers_of(stored), "content-length": str(stored.size)})

    async def _get_object(self, request: ObjectRequest) -> Response:
        request.refuse_parameters_but(READ_PARAMETERS)
        opened = await asyncio.to_thread(partial(self._objects.open, request.bucket, request.key))
        if opened is None:
            raise refusals.NO_KEY
        stored, descriptor = opened
        try:
            first, last = range_of(request.header("range"), size=stored.size)
        except S3Refused:
            os.close(descriptor)
            raise
        headers = {**_headers_of(stored), "content-length": str(last - first + 1)}
        for name in ("content-type", "content-disposition"):
            if text := request.query.get(f"response-{name}"):
                headers[name] = text
        is_part = (first, last) != (0, stored.size - 1)
        if is_part:
            headers["content-range"] = f"bytes {first}-{last}/{stored.size}"
        return StreamingResponse(
            read_pieces(descriptor, first=first, last=last), status_code=206 if is_part else 200, headers=headers
        )

    async def _delete_object(self, request: ObjectRequest) -> Response:
        request.refuse_parameters_but({"x-id"})
        await asyncio.to_thread(self._objects.remove, request.bucket, request.key)
        return Response(status_code=204)


async def _refuse(refused: S3Refused, request: Request, body: Incoming) -> Response:
    """Answer with an error. Read the body first: a client reads no answer before it has sent its body.

    A client that waits for 100 Continue sends no body. Close its connection: its next bytes must not be read as a body.
    """
    answer = xml.refusal(refused)
    if "expect" in request.headers and not body.has_begun:
        answer.headers["connection"] = "close"
        return answer
    while request.method in {"PUT", "POST"} and not body.is_over:
        await body()
    return answer


def _refusal_of(error: OSError | sqlite3.Error) -> S3Refused:
    is_full = getattr(error, "errno", None) in DISK_FULL or "disk is full" in str(error)
    return refusals.FULL if is_full else S3Refused(500, "InternalError", "The disk failed.")


def _refuse_bad_key(key: str) -> None:
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise refusals.BAD_KEY from None
    if length > 1024 or "\0" in key or "\U0010ffff" in key:
        raise refusals.BAD_KEY


def _headers_to_keep(request: Request) -> dict[str, str]:
    names = [name for name in request.headers if name in KEPT_HEADERS or name.startswith("x-amz-meta-")]
    return {name: request.headers[name] for name in names}


def _headers_of(stored: ListedObject) -> dict[str, str]:
    modified = formatdate(stored.modified, usegmt=True)
    kept = {"content-type": "binary/octet-stream", **stored.headers}
    return {**kept, "etag": f'"{stored.etag}"', "last-modified": modified, "accept-ranges": "bytes"}

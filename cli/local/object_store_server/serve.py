"""The HTTP side: S3 requests, path style, answered from `ObjectFolder`. No body is ever whole in memory."""

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

from botocore.credentials import Credentials
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from cli.local.object_store_server import refusals, xml
from cli.local.object_store_server.bodies import (
    Incoming,
    ObjectRequest,
    pieces,
    range_of,
    raw_path,
    receive_to,
    whole_body,
)
from cli.local.object_store_server.objects import ListedObject, ObjectFolder
from cli.local.object_store_server.refusals import S3Refused
from cli.local.object_store_server.signatures import SignedRequest, check_signature

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

    def __init__(self, objects: ObjectFolder, key: Credentials) -> None:
        self._objects = objects
        self._key = key

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
        asked = SignedRequest(request.method, raw_path(request), request.url.query, headers)
        place = ObjectRequest(request, digest=check_signature(asked, key=self._key, now=datetime.now(UTC)))
        kind = "object" if place.key else "bucket" if place.bucket else "server"
        verb: Callable[[ObjectRequest], Awaitable[Response]] | None = getattr(
            self, f"_{request.method.lower()}_{kind}", None
        )
        if verb is None:
            raise refusals.NOT_ALLOWED
        if kind == "object":
            _refuse_bad_key(place.key)
        if kind != "server" and (request.method, kind) != ("PUT", "bucket"):
            await self._refuse_missing_bucket(place.bucket)
        return await verb(place)

    async def _refuse_missing_bucket(self, bucket: str) -> None:
        if not await asyncio.to_thread(self._objects.has_bucket, bucket):
            raise refusals.NO_BUCKET

    async def _get_server(self, _place: ObjectRequest) -> Response:
        return xml.buckets(await asyncio.to_thread(self._objects.buckets))

    async def _put_bucket(self, place: ObjectRequest) -> Response:
        place.refuse_parameters_but({"x-id"})
        if not (3 <= len(place.bucket) <= 63 and place.bucket.replace("-", "").replace(".", "").isalnum()):
            raise refusals.BAD_NAME
        await whole_body(place)
        if not await asyncio.to_thread(self._objects.make_bucket, place.bucket):
            raise refusals.OWNED
        return Response(status_code=200, headers={"location": f"/{place.bucket}"})

    async def _head_bucket(self, _place: ObjectRequest) -> Response:
        return Response(status_code=200)

    async def _delete_bucket(self, place: ObjectRequest) -> Response:
        if not await asyncio.to_thread(self._objects.remove_bucket, place.bucket):
            raise refusals.NOT_EMPTY
        return Response(status_code=204)

    async def _get_bucket(self, place: ObjectRequest) -> Response:
        """A listing, version 2."""
        if "location" in place.query:
            return xml.location()
        place.refuse_parameters_but(LIST_PARAMETERS)
        if place.query.get("list-type") != "2":
            raise refusals.NOT_HERE
        asked = place.query.get("max-keys", str(MAX_KEYS))
        limit = min(int(asked), MAX_KEYS) if asked.isdecimal() else MAX_KEYS
        token = place.query.get("continuation-token")
        after = xml.after_of(token) if token else place.query.get("start-after", "")
        prefix, delimiter = place.query.get("prefix", ""), place.query.get("delimiter", "")
        turn = partial(self._objects.page, place.bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
        page = await asyncio.to_thread(turn)
        return xml.listing(page, bucket=place.bucket, query=place.query, limit=limit)

    async def _post_bucket(self, place: ObjectRequest) -> Response:
        """Deletion of many."""
        if "delete" not in place.query:
            raise refusals.NOT_HERE
        keys = xml.keys_to_delete(await whole_body(place))
        for key in keys:
            await asyncio.to_thread(self._objects.remove, place.bucket, key)
        return xml.deleted(keys)

    async def _put_object(self, place: ObjectRequest) -> Response:
        place.refuse_parameters_but({"x-id"})
        condition = place.header("if-none-match")
        if condition not in {"", "*"} or place.header("if-match") or place.header("x-amz-copy-source"):
            raise refusals.NOT_HERE
        if condition:
            await self._refuse_existing(place)
        draft = self._objects.draft()
        try:
            etag = await receive_to(draft, place)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        name = partial(self._objects.put, place.bucket, place.key, draft=draft, etag=etag)
        headers = _headers_to_keep(place.request)
        if not await asyncio.to_thread(name, headers=headers, only_if_absent=bool(condition)):
            raise refusals.PRECONDITION
        return Response(status_code=200, headers={"etag": f'"{etag}"'})

    async def _refuse_existing(self, place: ObjectRequest) -> None:
        """Before the body is received, as a courtesy; what counts is asked again when it is named."""
        if await asyncio.to_thread(self._objects.find, place.bucket, place.key) is not None:
            raise refusals.PRECONDITION

    async def _head_object(self, place: ObjectRequest) -> Response:
        place.refuse_parameters_but(READ_PARAMETERS)
        found = await asyncio.to_thread(self._objects.find, place.bucket, place.key)
        if found is None:
            raise refusals.NO_KEY
        return Response(status_code=200, headers={**_headers_of(found), "content-length": str(found.size)})

    async def _get_object(self, place: ObjectRequest) -> Response:
        place.refuse_parameters_but(READ_PARAMETERS)
        opened = await asyncio.to_thread(partial(self._objects.open, place.bucket, place.key))
        if opened is None:
            raise refusals.NO_KEY
        found, descriptor = opened
        try:
            first, last = range_of(place.header("range"), size=found.size)
        except S3Refused:
            os.close(descriptor)
            raise
        headers = {**_headers_of(found), "content-length": str(last - first + 1)}
        is_part = (first, last) != (0, found.size - 1)
        if is_part:
            headers["content-range"] = f"bytes {first}-{last}/{found.size}"
        return StreamingResponse(
            pieces(descriptor, first=first, last=last), status_code=206 if is_part else 200, headers=headers
        )

    async def _delete_object(self, place: ObjectRequest) -> Response:
        place.refuse_parameters_but({"x-id"})
        await asyncio.to_thread(self._objects.remove, place.bucket, place.key)
        return Response(status_code=204)


async def _refuse(refused: S3Refused, request: Request, body: Incoming) -> Response:
    """A client that sends its body reads no answer before its end; one that waits for 100 sends none, and what it
    sends next must not be taken for that body."""
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


def _headers_of(found: ListedObject) -> dict[str, str]:
    modified = formatdate(found.modified, usegmt=True)
    kept = {"content-type": "binary/octet-stream", **found.headers}
    return {**kept, "etag": f'"{found.etag}"', "last-modified": modified, "accept-ranges": "bytes"}

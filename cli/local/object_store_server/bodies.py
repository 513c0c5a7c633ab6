"""Receive and send bodies piece by piece; parse the S3 request that a body belongs to."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qsl, unquote

from starlette.requests import Request
from starlette.types import Message, Receive

from cli.local.object_store_server import refusals

PIECE_BYTES = 1024 * 1024
MAX_XML_BYTES = 4 * 1024 * 1024


class Incoming:
    """The client's messages; records whether the body has begun and ended."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.has_begun = False
        self.is_over = False

    async def __call__(self) -> Message:
        self.has_begun = True
        message = await self._receive()
        self.is_over = not message.get("more_body", False)
        return message


class ObjectRequest:
    """An S3 request: its bucket, key and query, and the SHA-256 that its body must have."""

    def __init__(self, request: Request, *, digest: str | None) -> None:
        path = unquote(raw_path(request), errors="surrogateescape")
        self.bucket, _, self.key = path.removeprefix("/").partition("/")
        query = parse_qsl(request.url.query, keep_blank_values=True)
        self.query = {name: value for name, value in query if not name.startswith("X-Amz-")}
        self.http_request = request
        self.digest = digest

    def header(self, name: str) -> str:
        return self.http_request.headers.get(name, "")

    def refuse_parameters_but(self, known: set[str]) -> None:
        """Refuse unknown parameters: an unsupported sub-resource must not be served as the object itself."""
        if set(self.query) - known:
            raise refusals.NOT_HERE


def raw_path(request: Request) -> str:
    raw: bytes = request.scope["raw_path"]
    return raw.decode("ascii", errors="replace")


async def receive_to(draft: Path, request: ObjectRequest) -> str:
    """Write the body to the file, sync it and return its MD5. Raise S3Refused unless it is the signed body."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    size = 0
    with draft.open("xb", buffering=0) as out:

        def keep(piece: bytearray) -> None:
            md5.update(piece)
            sha256.update(piece)
            _write_all(out.fileno(), piece)

        async for piece in _body_in_pieces(request.http_request):
            await asyncio.to_thread(keep, piece)
            size += len(piece)
        _compare_digests(request, md5=md5.digest(), sha256=sha256.hexdigest(), size=size)
        await asyncio.to_thread(os.fsync, out.fileno())
    return md5.hexdigest()


def copy_synced(content: BinaryIO, draft: Path) -> None:
    """Write all of `content` to the file and sync it. Delete the file when that fails."""
    try:
        with draft.open("xb") as out:
            shutil.copyfileobj(content, out, PIECE_BYTES)
            out.flush()
            os.fsync(out.fileno())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _write_all(descriptor: int, piece: bytearray) -> None:
    """Write all bytes. A short write is continued; the next write then reports the cause."""
    left = memoryview(piece)
    while left:
        left = left[os.write(descriptor, left) :]


async def _body_in_pieces(request: Request) -> AsyncIterator[bytearray]:
    piece = bytearray()
    async for chunk in request.stream():
        piece += chunk
        if len(piece) >= PIECE_BYTES:
            yield piece
            piece = bytearray()
    if piece:
        yield piece


def _compare_digests(request: ObjectRequest, *, md5: bytes, sha256: str, size: int) -> None:
    if request.digest is not None and request.digest.lower() != sha256:
        raise refusals.BAD_DIGEST
    if request.header("content-length") not in {"", str(size)}:
        raise refusals.INCOMPLETE
    if content_md5 := request.header("content-md5"):
        try:
            matches = base64.b64decode(content_md5, validate=True) == md5
        except binascii.Error:
            matches = False
        if not matches:
            raise refusals.BAD_MD5


async def read_body(request: ObjectRequest) -> bytes:
    body = b""
    async for chunk in request.http_request.stream():
        body += chunk
        if len(body) > MAX_XML_BYTES:
            raise refusals.BAD_XML
    md5 = hashlib.md5(body, usedforsecurity=False).digest()
    _compare_digests(request, md5=md5, sha256=hashlib.sha256(body).hexdigest(), size=len(body))
    return body


async def read_pieces(descriptor: int, *, first: int, last: int) -> AsyncIterator[bytes]:
    try:
        while first <= last:
            piece = await asyncio.to_thread(os.pread, descriptor, min(PIECE_BYTES, last - first + 1), first)
            if not piece:  # the file is shorter than its row says: the client notices the wrong length
                return
            first += len(piece)
            yield piece
    finally:
        os.close(descriptor)


def range_of(header: str, *, size: int) -> tuple[int, int]:
    """Return the first and last byte of a Range header; all bytes unless it names a single range."""
    unit, _, span = header.partition("=")
    start, dash, end = span.partition("-")
    if unit != "bytes" or not dash or not all(part.isdecimal() or not part for part in (start, end)) or not start + end:
        return 0, size - 1
    first = int(start) if start else max(0, size - int(end))
    last = min(int(end), size - 1) if start and end else size - 1
    if first > last:
        raise refusals.RANGE
    return first, last

"""Gather one request from the bytes of a peer until it is whole. No socket, no clock, no thread.

gunicorn parses the head and decodes the body. This module only finds the end of the request. The same bytes give the
same request and the same rest, however they are cut.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import unquote

from gunicorn.http.body import Body, ChunkedReader, LengthReader  # type: ignore[import-untyped]
from gunicorn.http.errors import NoMoreData, ParseException  # type: ignore[import-untyped]
from gunicorn.http.message import Request  # type: ignore[import-untyped]
from gunicorn.http.parser import RequestParser  # type: ignore[import-untyped]
from gunicorn.http.unreader import Unreader  # type: ignore[import-untyped]

from functions.runtime.chunked_framing import ChunkedFraming
from functions.runtime.refusals import RefusedRequest, body_too_large, head_too_large, refusal_of

HEAD_BYTES = 65_536
PIECE_BYTES = 8192
_END_OF_HEAD = b"\r\n\r\n"
_BARE_LF = re.compile(rb"(?<!\r)\n")
BodyLimit = Callable[[str, str], int]
"""The most bytes that the body of a request may have, by its method and path."""


class BodyFraming(Protocol):
    """Finds the end of a body."""

    is_whole: bool

    def take(self, received: bytes) -> int: ...


class LengthFraming:
    """A body of `left` bytes."""

    def __init__(self, left: int) -> None:
        self._left = left
        self.is_whole = left == 0

    def take(self, received: bytes) -> int:
        taken = min(self._left, len(received))
        self._left -= taken
        self.is_whole = self._left == 0
        return taken


class GatheredBytes(Unreader):  # type: ignore[misc]
    """The source that gunicorn reads a request from. It has no socket, so a thread never waits for a peer."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: deque[bytes] = deque()

    def add(self, piece: bytes) -> None:
        """Keep these bytes. Small pieces become one: each piece costs memory of its own."""
        if self._pieces and len(self._pieces[-1]) + len(piece) <= PIECE_BYTES:
            piece = self._pieces.pop() + piece
        self._pieces.append(piece)

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return the next bytes, empty after the last. At most `size_hint`: gunicorn copies any surplus."""
        if not self._pieces:
            return b""
        size = max(size_hint or 0, PIECE_BYTES)
        piece = self._pieces.popleft()
        if len(piece) > size:
            self._pieces.appendleft(piece[size:])
        return piece[:size]


class WholeRequest(RequestParser):  # type: ignore[misc]
    """A parser for gunicorn's thread. It has one request, and all bytes of it."""

    def __init__(self, request: Any, gathered: GatheredBytes) -> None:
        super().__init__(request.cfg, iter(()), request.peer_addr)
        self.mesg = request
        self.unreader = gathered

    def __next__(self) -> Any:
        """Return the request. Decodes a chunked body, so that a fault in it is refused before the app runs."""
        if isinstance(self.mesg.body.reader, ChunkedReader):
            decoded = self.mesg.body.read()
            unreader = GatheredBytes()
            unreader.add(decoded)
            self.mesg.body = Body(LengthReader(unreader, len(decoded)))
        return self.mesg


class RequestReader:
    """Gathers one request. `cfg` is gunicorn's configuration, `peer` the address that the bytes come from."""

    def __init__(self, cfg: Any, peer: Any, body_limit: BodyLimit) -> None:
        self.rest = b""
        self.held_bytes = 0
        self.body_bytes = 0
        self._cfg = cfg
        self._peer = peer
        self._body_limit = body_limit
        self._head = bytearray()
        self._gathered = GatheredBytes()
        self._request: Any = None
        self._framing: BodyFraming | None = None

    @property
    def has_begun(self) -> bool:
        """Whether a request has begun; an empty line before it does not count (RFC 9112, section 2.2)."""
        return self._request is not None or bytes(self._head[:3]) not in (b"", b"\r", b"\r\n")

    @property
    def has_head(self) -> bool:
        return self._request is not None

    @property
    def target(self) -> tuple[str, str]:
        """The method and decoded path of the request, whose head is here."""
        return self._request.method, unquote(self._request.path)

    @property
    def is_whole(self) -> bool:
        return self._framing is not None and self._framing.is_whole

    @property
    def is_waited_for(self) -> bool:
        """Whether the peer waits for 100 Continue before it sends its body (RFC 9110, section 10.1.1)."""
        return self.has_head and self._request._expected_100_continue and not self.body_bytes and not self.is_whole

    def feed(self, received: bytes) -> bool:
        """Add received bytes. Returns whether the request is whole now; raises RefusedRequest."""
        self.held_bytes += len(received)
        if self._framing is None:
            received = self._read_head(received)
        if self._framing is not None:
            self._read_body(self._framing, received)
        return self.is_whole

    def whole(self) -> WholeRequest:
        """Return the request for a thread. gunicorn must not send 100 Continue: all of the body is here."""
        self._request._expected_100_continue = False
        return WholeRequest(self._request, self._gathered)

    def _read_head(self, received: bytes) -> bytes:
        """Return the bytes behind the head, none while the head is not whole."""
        searched = len(self._head)
        self._head += received
        end = self._end_of_head(searched)
        if end < 0:
            self._refuse_hopeless_head(searched)
            return b""
        head, behind = bytes(self._head[:end]), bytes(self._head[end:])
        if len(head) > HEAD_BYTES:
            raise head_too_large(HEAD_BYTES)
        self._head.clear()
        self._request = self._parse(head)
        self._framing = self._framing_of(self._request)
        return behind

    def _end_of_head(self, searched: int) -> int:
        """Return the offset of the head's end, -1 while it is not whole."""
        start = 2 if self._head.startswith(b"\r\n") else 0
        if self._head.startswith(b"\r\n", start):
            return start + 2
        end = self._head.find(_END_OF_HEAD, max(start, searched - len(_END_OF_HEAD) + 1))
        return end + len(_END_OF_HEAD) if end >= 0 else -1

    def _refuse_hopeless_head(self, searched: int) -> None:
        """Every line of a head ends with CRLF (RFC 9112, section 2.2)."""
        if _BARE_LF.search(self._head, searched):
            raise RefusedRequest(HTTPStatus.BAD_REQUEST)
        if len(self._head) > HEAD_BYTES:
            raise head_too_large(HEAD_BYTES)

    def _parse(self, head: bytes) -> Any:
        self._gathered.add(head)
        try:
            return Request(self._cfg, self._gathered, self._peer, 1)
        except (NoMoreData, ParseException) as error:
            raise refusal_of(error) from None

    def _framing_of(self, request: Any) -> BodyFraming:
        limit = self._body_limit(request.method, request.path)
        if isinstance(request.body.reader, ChunkedReader):
            _refuse_compressed(request.headers)
            return ChunkedFraming(limit)
        length: int = request.body.reader.length
        if length > limit:
            raise body_too_large(limit)
        return LengthFraming(length)

    def _read_body(self, framing: BodyFraming, received: bytes) -> None:
        taken = framing.take(received)
        self.body_bytes += taken
        if taken:
            self._gathered.add(received[:taken])
        if framing.is_whole:
            self.rest += received[taken:]


def _refuse_compressed(headers: Iterable[tuple[str, str]]) -> None:
    """gunicorn lets `Transfer-Encoding: gzip, chunked` pass, and hands the app a body that is still compressed."""
    codings = [value for name, value in headers if name == "TRANSFER-ENCODING"]
    if [coding.strip().lower() for coding in codings] != ["chunked"]:
        raise RefusedRequest(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "The body may be chunked, but not compressed.",
            code="unsupported_content_encoding",
        )

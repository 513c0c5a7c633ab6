"""Find the end of a chunked body (RFC 9112, section 7.1). gunicorn decodes the body when it is whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus

from functions.runtime.refusals import RefusedRequest, body_too_large, head_too_large

SIZE_LINE_BYTES = 8190
TRAILER_BYTES = 32_768
FRAMING_BYTES = 65_536
"""A body's framing may exceed its data by so much. Chunks of one byte cost the server more than the sender."""
_SIZE = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;.*)?", re.DOTALL)


class ChunkedFraming:
    """Follows one body; `limit` is the most bytes of data that it may carry."""

    def __init__(self, limit: int) -> None:
        self.is_whole = False
        self._limit = limit
        self._line = b""
        self._data_left = 0
        self._data = 0
        self._framing = 0
        self._trailer = 0
        self._step: Callable[[bytes, int], int] = self._read_size

    def take(self, received: bytes) -> int:
        """Return how many of these bytes belong to the body. Raises RefusedRequest."""
        at = 0
        while at < len(received) and not self.is_whole:
            before, was_data = at, self._step == self._pass_data
            at = self._step(received, at)
            if not was_data:
                self._framing += at - before
        if self._framing > FRAMING_BYTES + self._data:
            raise RefusedRequest(HTTPStatus.BAD_REQUEST, "The chunks of the body are too small.")
        return at

    def _read_size(self, received: bytes, at: int) -> int:
        line, at = self._read_line(received, at, limit=SIZE_LINE_BYTES)
        if line is None:
            return at
        size = _SIZE.fullmatch(line)
        if size is None:
            raise _bad_chunk()
        self._data_left = int(size[1], 16)
        self._data += self._data_left
        if self._data > self._limit:
            raise body_too_large(self._limit)
        self._step = self._pass_data if self._data_left else self._read_trailer
        return at

    def _pass_data(self, received: bytes, at: int) -> int:
        passed = min(self._data_left, len(received) - at)
        self._data_left -= passed
        if not self._data_left:
            self._step = self._end_chunk
        return at + passed

    def _end_chunk(self, received: bytes, at: int) -> int:
        line, at = self._read_line(received, at, limit=0)
        if line is not None:
            self._step = self._read_size
        return at

    def _read_trailer(self, received: bytes, at: int) -> int:
        before = at
        line, at = self._read_line(received, at, limit=TRAILER_BYTES)
        self._trailer += at - before
        if self._trailer > TRAILER_BYTES:
            raise head_too_large(TRAILER_BYTES)
        self.is_whole = line == b""
        return at

    def _read_line(self, received: bytes, at: int, *, limit: int) -> tuple[bytes | None, int]:
        """Return a line without its end, None when it is not whole, and the offset behind it."""
        end = received.find(b"\n", at)
        stop = len(received) if end < 0 else end + 1
        self._line += received[at:stop]
        if len(self._line) > limit + 2 or (end >= 0 and not self._line.endswith(b"\r\n")):
            raise _bad_chunk()
        if end < 0:
            return None, stop
        line, self._line = self._line[:-2], b""
        return line, stop


def _bad_chunk() -> RefusedRequest:
    return RefusedRequest(HTTPStatus.BAD_REQUEST, "The chunked body is malformed (RFC 9112, section 7.1).")

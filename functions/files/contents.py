"""Stream a file's bytes out of a snapshot's objects: of a pack only as far as the file's end, of parts those needed.

Memory is bounded by a piece and the decompressor's window. What is read from its beginning to its end is verified, and
the last piece is held back until it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import IO, ClassVar, cast

import zstandard

from functions.files.object_reader import PIECE_BYTES, ObjectReader
from handlers.files.tree import Content
from schema.errors import Unavailable
from schema.snapshot_manifest import File, Manifest, Part, Stored

WINDOW_BYTES = 8 << 20
"""The largest window of a decompressor. What Runyard writes needs 2 MiB."""
_ZEROS = bytes(PIECE_BYTES)


class ContentDamaged(Unavailable):
    """The file's bytes are damaged in the object store. Choose another snapshot."""

    code: ClassVar[str] = "object_damaged"


def file_bytes(
    reader: ObjectReader, manifest: Manifest, file: Content, *, start: int = 0, end: int | None = None
) -> Iterator[bytes]:
    """Yield the file's bytes from `start` up to `end` (exclusive; None for its size)."""
    end = file.size if end is None else min(end, file.size)
    if start >= end:
        return
    if isinstance(file, File):
        pieces = _raw(reader, manifest, manifest.objects[file.pack], file.offset + start, file.offset + end)
        is_whole = (start, end) == (0, file.size)
        yield from _verified(pieces, file.digest) if is_whole else pieces
        return
    at = start
    for part in file.parts:
        if part.offset + part.size <= at:
            continue
        if part.offset >= end:
            break
        yield from _zeros(part.offset - at)
        at = max(at, part.offset)
        until = min(part.offset + part.size, end)
        yield from _part(reader, manifest, part, at - part.offset, until - part.offset)
        at = until
    yield from _zeros(end - at)


def own_object(manifest: Manifest, file: Content) -> str | None:
    """Return the key of the object that is the file, byte for byte; None for a file in a pack, in several parts, with
    holes, or compressed."""
    if isinstance(file, File) or len(file.parts) != 1:
        return None
    [part] = file.parts
    stored = manifest.objects[part.object]
    is_whole = part.offset == 0 and part.size == file.size == stored.size
    return stored.key(manifest.session_id) if is_whole and not stored.is_zstd else None


def object_bytes(reader: ObjectReader, manifest: Manifest, number: int) -> bytes:
    """Return the decompressed content of an object, whose size the manifest's check bounds."""
    stored = manifest.objects[number]
    return b"".join(_raw(reader, manifest, stored, 0, stored.raw))


class LastPack:
    """The content of the pack that was asked for last: whoever asks in the order of packs fetches each once."""

    def __init__(self, reader: ObjectReader, manifest: Manifest) -> None:
        self._reader = reader
        self._manifest = manifest
        self._number = -1
        self._content = b""

    def slice(self, file: File) -> bytes:
        if file.pack != self._number:
            self._content = b""
            self._content = object_bytes(self._reader, self._manifest, file.pack)
            self._number = file.pack
        content = self._content[file.offset : file.offset + file.size]
        if hashlib.sha256(content).hexdigest() != file.digest:
            raise ContentDamaged
        return content


def _part(reader: ObjectReader, manifest: Manifest, part: Part, start: int, end: int) -> Iterator[bytes]:
    pieces = _raw(reader, manifest, manifest.objects[part.object], start, end)
    return _verified(pieces, part.digest) if (start, end) == (0, part.size) else pieces


def _raw(reader: ObjectReader, manifest: Manifest, stored: Stored, start: int, end: int) -> Iterator[bytes]:
    """Yield bytes of an object's decompressed content. Raises ContentDamaged when it ends early."""
    key = stored.key(manifest.session_id)
    if not stored.is_zstd:
        left = end - start
        for piece in reader.stream(key, start=start, end=end):
            left -= len(piece)
            yield piece
        if left:
            raise ContentDamaged
        return
    at = 0
    for piece in _decompressed(reader.stream(key)):
        before, at = at, at + len(piece)
        wanted = piece[max(0, start - before) : max(0, end - before)]
        if wanted:
            yield wanted
        if at >= end:
            return
    raise ContentDamaged


def _decompressed(compressed: Iterator[bytes]) -> Iterator[bytes]:
    """Yield in pieces, however much a few compressed bytes stand for."""
    source = cast("IO[bytes]", _Pieces(compressed))
    with zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES).stream_reader(source) as unpacked:
        while True:
            try:
                piece = unpacked.read(PIECE_BYTES)
            except zstandard.ZstdError:
                raise ContentDamaged from None
            if not piece:
                return
            yield piece


class _Pieces:
    """An iterator of bytes as a source that can be read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        if not self._left:
            self._left = next(self._pieces, b"")
        taken, self._left = (self._left, b"") if size < 0 else (self._left[:size], self._left[size:])
        return taken


def _verified(pieces: Iterator[bytes], digest: str) -> Iterator[bytes]:
    seen = hashlib.sha256()
    held = b""
    for piece in pieces:
        seen.update(piece)
        if held:
            yield held
        held = piece
    if seen.hexdigest() != digest:
        raise ContentDamaged
    yield held


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield _ZEROS[: min(count, len(_ZEROS))]
        count -= len(_ZEROS)

"""Stream the zip of a folder. Each pack is fetched once; at most one is in memory."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from io import RawIOBase

from functions.files.contents import LastPack, file_bytes
from functions.files.object_reader import PIECE_BYTES, ObjectReader
from handlers.files.archive import ArchivePlan, Member
from schema.snapshot_manifest import File, Manifest

EARLIEST_YEAR, LATEST_YEAR = 1980, 2107
"""The years that a zip can name."""


def zip_bytes(reader: ObjectReader, manifest: Manifest, plan: ArchivePlan) -> Iterator[bytes]:
    """Yield the archive. Its comment says how many symbolic links and denied files it lacks."""
    sink = _Sink()
    pack = LastPack(reader, manifest)
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.comment = _comment(plan).encode()
        for member in plan.members:
            with archive.open(_described(member), "w", force_zip64=True) as body:
                for piece in _content(reader, manifest, pack, member):
                    body.write(piece)
                    yield sink.taken()
            yield sink.taken()
    yield sink.taken()


def _comment(plan: ArchivePlan) -> str:
    links = f"{plan.left_out} symbolic links are left out." if plan.left_out else ""
    denied = f"{plan.denied} files are left out, because a policy denies them." if plan.denied else ""
    return f"{links} {denied}".strip()


class _Sink(RawIOBase):
    """Where the archive is written to, and taken from."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._written += piece
        return len(piece)

    def taken(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


def _content(reader: ObjectReader, manifest: Manifest, pack: LastPack, member: Member) -> Iterator[bytes]:
    file = member.content
    if file is None or not file.size:
        return
    if not isinstance(file, File):
        yield from file_bytes(reader, manifest, file)
        return
    content = pack.slice(file)
    for start in range(0, len(content), PIECE_BYTES):
        yield content[start : start + PIECE_BYTES]


def _described(member: Member) -> zipfile.ZipInfo:
    at = member.mtime
    year = min(max(at.year, EARLIEST_YEAR), LATEST_YEAR)
    described = zipfile.ZipInfo(member.name, (year, at.month, at.day, at.hour, at.minute, at.second))
    described.external_attr = (0o40755 << 16 | 0x10) if member.content is None else 0o100644 << 16
    described.compress_type = zipfile.ZIP_STORED if member.content is None else zipfile.ZIP_DEFLATED
    return described

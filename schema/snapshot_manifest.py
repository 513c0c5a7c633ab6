"""Define a snapshot's manifest: zstd-compressed JSON with every path of both roots and the object that holds its bytes.

It comes from a worker, whose agent is assumed hostile. `read_snapshot_manifest` refuses anything that leads a reader
out of a root, to another session's objects, or to more memory than the limits below. `path_text` describes paths.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, ClassVar
from uuid import UUID

import msgspec
import zstandard
from msgspec import Meta, Struct

from schema.errors import RunyardError
from schema.object_keys import pack_key, part_key

if TYPE_CHECKING:
    from schema.workspace_api import Root  # imports pydantic, which a scan does without

VERSION = 1
MAX_STORED_BYTES = 64 << 20
MAX_RAW_BYTES = 512 << 20
"""Limits of a manifest, compressed and decompressed: more than two million paths."""
MAX_PACK_BYTES = 16 << 20
MAX_PART_BYTES = 64 << 20
"""Limits of an object's decompressed content."""
MAX_PATH_BYTES = 4095
MAX_NAME_BYTES = 255
ENCODED = "base64:"

Size = Annotated[int, Meta(ge=0, le=1 << 53)]
ObjectIndex = Annotated[int, Meta(ge=0, le=10_000_000)]
FileMode = Annotated[int, Meta(ge=0, le=0o7777)]
EARLIEST, LATEST = -(1 << 63), (1 << 63) - 1
"""Limits of times in nanoseconds: the years 1677 and 2262. File systems allow others."""
Time = Annotated[int, Meta(ge=EARLIEST, le=LATEST)]
Digest = Annotated[str, Meta(min_length=64, max_length=64)]
"""Hexadecimal. One check covers all digests at once, in a tenth of the time of a pattern for each."""
_UNSAFE = re.compile(rb"(?:^|/)(?:\.{0,2})(?:/|$)|\x00")
_NO_NAMES = frozenset({"", ".", ".."})
_LONG_NAME = re.compile(rb"[^/]{256}")


class BadManifest(RunyardError):
    """The snapshot's manifest is damaged or contradicts itself. Restore an older snapshot."""

    code: ClassVar[str] = "bad_manifest"


class Stored(Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """An object of `size` bytes, `raw` decompressed. A pack is always zstd; an uncompressed part has `size == raw`."""

    digest: Digest
    size: Size
    raw: Size
    is_pack: bool
    is_zstd: bool

    def key(self, session_id: UUID) -> str:
        return (pack_key if self.is_pack else part_key)(session_id, self.digest)


class Folder(Struct, frozen=True, array_like=True, gc=False, tag="d", forbid_unknown_fields=True):
    path: str
    mode: FileMode
    mtime_ns: Time


class File(Struct, frozen=True, array_like=True, gc=False, tag="f", forbid_unknown_fields=True):
    """A small file: `size` bytes at `offset` of the pack `objects[pack]`. An empty file is in no pack (0, 0)."""

    path: str
    mode: FileMode
    mtime_ns: Time
    size: Size
    digest: Digest
    pack: ObjectIndex
    offset: Size


class Part(Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """A part of a large file: `size` bytes at `offset` are the content of `objects[object]`, with this digest."""

    offset: Size
    size: Size
    digest: Digest
    object: ObjectIndex


class LargeFile(Struct, frozen=True, array_like=True, gc=False, tag="F", forbid_unknown_fields=True):
    """A file in parts with holes between. `digest` is `parts_digest(size, parts)`: a huge hole is never read."""

    path: str
    mode: FileMode
    mtime_ns: Time
    size: Size
    digest: Digest
    parts: list[Part]


class Symlink(Struct, frozen=True, array_like=True, gc=False, tag="l", forbid_unknown_fields=True):
    """A symbolic link. `target` may point anywhere, in the form of `path_text`; no code of Runyard follows it."""

    path: str
    mtime_ns: Time
    target: str


class HardLink(Struct, frozen=True, array_like=True, gc=False, tag="h", forbid_unknown_fields=True):
    """Another name of the file at `target`, an earlier path of the same root."""

    path: str
    target: str


Entry = Folder | File | LargeFile | Symlink | HardLink
_FILES = (File, LargeFile)


class Roots(Struct, frozen=True, forbid_unknown_fields=True):
    workspace: list[Entry]
    agent: list[Entry]


class Manifest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A snapshot. Folders precede their content. `files` and `bytes` count the files of both roots, holes included."""

    version: int
    session_id: UUID
    snapshot_id: UUID
    parent: UUID | None
    at_rest: bool
    created_at: datetime
    files: Size
    bytes: Size
    objects: list[Stored]
    roots: Roots

    def entries(self, root: Root) -> list[Entry]:
        return self.roots.workspace if root == "workspace" else self.roots.agent

    def placed(self) -> Iterator[tuple[Root, Entry]]:
        """Yield every entry with its root."""
        yield from (("workspace", entry) for entry in self.roots.workspace)
        yield from (("agent", entry) for entry in self.roots.agent)

    def object_keys(self) -> list[str]:
        return [stored.key(self.session_id) for stored in self.objects]


_decoder = msgspec.json.Decoder(Manifest)


def path_text(path: bytes) -> str:
    """Return a path as text that JSON and PostgreSQL accept: itself, or `base64:...` when it is not UTF-8 (or begins
    so)."""
    try:
        text = path.decode()
    except UnicodeDecodeError:
        return ENCODED + base64.b64encode(path).decode()
    return ENCODED + base64.b64encode(path).decode() if text.startswith(ENCODED) else text


def path_bytes(text: str) -> bytes:
    """Return the path that `path_text` encoded. Raises BadManifest for invalid text."""
    try:
        if not text.startswith(ENCODED):
            return text.encode()
        return base64.b64decode(text[len(ENCODED) :], validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        raise BadManifest("The manifest has a path that cannot be decoded.") from None


def is_safe_path(path: bytes) -> bool:
    """Tell whether a path is relative, normal, below its root, and short enough for the system."""
    return len(path) <= MAX_PATH_BYTES and not _UNSAFE.search(path) and not _LONG_NAME.search(path)


def parts_digest(size: int, parts: list[Part]) -> str:
    """Return the SHA-256 of one line for the size and one for each part."""
    lines = [f"{size}\n", *(f"{part.offset} {part.size} {part.digest}\n" for part in parts)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def write_manifest(manifest: Manifest) -> bytes:
    """Encode a manifest into its object's bytes."""
    return zstandard.ZstdCompressor(level=1, write_checksum=True).compress(msgspec.json.encode(manifest))


def manifest_digest(data: bytes) -> str:
    """Return the SHA-256 of the object's bytes, by which a snapshot's row identifies its manifest."""
    return hashlib.sha256(data).hexdigest()


def read_snapshot_manifest(data: bytes, *, session_id: UUID, snapshot_id: UUID, digest: str | None = None) -> Manifest:
    """Decode this snapshot's manifest and check that it is safe to follow. BadManifest names the fault, never
    content."""
    if digest is not None and manifest_digest(data) != digest:
        raise BadManifest("The manifest's digest differs from the saved one.")
    try:
        manifest = _decoder.decode(_decompressed(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadManifest("The manifest cannot be decoded.") from None
    if manifest.version != VERSION:
        raise BadManifest(f"The manifest has version {manifest.version}; this Runyard reads version {VERSION}.")
    if (manifest.session_id, manifest.snapshot_id) != (session_id, snapshot_id):
        raise BadManifest("The manifest belongs to another session or snapshot.")
    _check_digests(manifest)
    _check_objects(manifest.objects)
    for entries in (manifest.roots.workspace, manifest.roots.agent):
        _check_entries(entries, manifest.objects)
    return manifest


def _decompressed(data: bytes) -> bytes:
    if len(data) > MAX_STORED_BYTES:
        raise BadManifest("The manifest is too large.")
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data) as reader:
            raw = reader.read(MAX_RAW_BYTES + 1)
    except zstandard.ZstdError:
        raise BadManifest("The manifest is damaged and cannot be decompressed.") from None
    if len(raw) > MAX_RAW_BYTES:
        raise BadManifest("The manifest is too large.")
    return raw


def _check_digests(manifest: Manifest) -> None:
    files = [entry for _, entry in manifest.placed() if isinstance(entry, _FILES)]
    parts = [part for file in files if isinstance(file, LargeFile) for part in file.parts]
    named = (item.digest for items in (manifest.objects, files, parts) for item in items)
    # some at a time: joined whole, the digests of many files would take as much memory as the files
    while digests := "".join(islice(named, 1000)):
        if digests.encode().translate(None, b"0123456789abcdef"):
            raise BadManifest("The manifest cannot be decoded.")


def _check_objects(objects: list[Stored]) -> None:
    for stored in objects:
        limit = MAX_PACK_BYTES if stored.is_pack else MAX_PART_BYTES
        is_plain = not stored.is_zstd and not stored.is_pack and stored.size == stored.raw
        if stored.raw > limit or stored.size > limit + (1 << 20) or not (stored.is_zstd or is_plain):
            raise BadManifest("The manifest names an object with an impossible size or compression.")


def _check_entries(entries: list[Entry], objects: list[Stored]) -> None:
    kinds: dict[str, type[Entry]] = {}
    folders = {""}
    for entry in entries:
        path = entry.path if not entry.path.startswith(ENCODED) else _encoded_path(entry.path)
        parent, slash, name = path.rpartition("/")
        if name in _NO_NAMES or "\0" in name or (slash and not parent) or not _is_short(path, name):
            raise BadManifest("The manifest has a path that leaves its root or is too long.")
        if parent not in folders or entry.path in kinds:
            raise BadManifest("The manifest has a path twice, or below a path that is not a folder.")
        kinds[entry.path] = type(entry)
        match entry:
            case File():
                _check_file(entry, objects)
            case Folder():
                folders.add(path)
            case LargeFile():
                _check_large(entry, objects)
            case Symlink():
                _check_symlink(entry)
            case HardLink() if kinds.get(entry.target) not in _FILES:
                raise BadManifest("The manifest has a hard link whose target is not a file.")


def _encoded_path(text: str) -> str:
    """Return the path as os.fsdecode does, so that equal paths have equal texts. Raises BadManifest for another
    spelling."""
    path = path_bytes(text)
    if path_text(path) != text:
        raise BadManifest("The manifest has a path that leaves its root or is too long.")
    return path.decode(errors="surrogateescape")


def _is_short(path: str, name: str) -> bool:
    """Tell whether path and name are short enough. A character has at most four bytes."""
    return (len(name) <= MAX_NAME_BYTES // 4 or len(_bytes_of(name)) <= MAX_NAME_BYTES) and (
        len(path) <= MAX_PATH_BYTES // 4 or len(_bytes_of(path)) <= MAX_PATH_BYTES
    )


def _bytes_of(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _check_file(file: File, objects: list[Stored]) -> None:
    if not file.size:
        return
    if file.pack >= len(objects) or not objects[file.pack].is_pack:
        raise BadManifest("The manifest has a file in a pack that is not listed.")
    if file.offset + file.size > objects[file.pack].raw:
        raise BadManifest("The manifest has a file beyond the end of its pack.")


def _check_large(file: LargeFile, objects: list[Stored]) -> None:
    end = 0
    for part in file.parts:
        if part.object >= len(objects) or objects[part.object].is_pack or objects[part.object].raw != part.size:
            raise BadManifest("The manifest has a file in a part that is not listed.")
        if part.offset < end or part.offset + part.size > file.size:
            raise BadManifest("The manifest has a file whose parts overlap.")
        end = part.offset + part.size
    if parts_digest(file.size, file.parts) != file.digest:
        raise BadManifest("The manifest has a file whose digest differs from its parts.")


def _check_symlink(link: Symlink) -> None:
    target = path_bytes(link.target)
    if not target or b"\x00" in target or len(target) > MAX_PATH_BYTES:
        raise BadManifest("The manifest has a symlink without a target.")

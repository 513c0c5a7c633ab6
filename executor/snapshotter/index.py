"""Remember the last scan, so that the next one reads only changed files.

Losing the index costs one full read. The scan never trusts it for a file that could have changed without a trace.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from schema.snapshot_manifest import Entry, File, HardLink, LargeFile, Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schema.workspace_api import Root

VERSION = 2
MARGIN_NS = 1_000_000_000
"""A file changed this shortly before a scan may change again without a new timestamp."""
MAPPED_MARGIN_NS = 60_000_000_000
"""The same margin while an agent works: a mapped file changes without a trace until the kernel writes it back. The
kernel does so after half a minute."""

Stamp = tuple[int, int]
"""ctime_ns, inode"""


def stamp_of(seen: os.stat_result) -> Stamp:
    """Return the stamp of a file's stat result."""
    return seen.st_ctime_ns, seen.st_ino


class Index(Struct, frozen=True, kw_only=True):
    """Hold one scan. `stamps` follows the order of the manifest's entries; (0, 0) marks a non-file or an untrusted
    file. `secrets` is the fingerprint of the secret values that the home was searched for, empty for none."""

    version: int
    manifest: Manifest
    digest: str
    trusted_before_ns: int
    stamps: dict[str, list[Stamp]]
    secrets: str = ""


KnownEntry = tuple[Entry, Stamp]
"""An entry of the last scan, and its stamp if it is a file (File or LargeFile)."""
_FILES = (File, LargeFile)
_decoder = msgspec.msgpack.Decoder(Index)


def read_index(data: bytes) -> Index | None:
    """Decode an index. Return None when it is unusable."""
    try:
        index = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return index if index.version == VERSION else None


def write_index(
    manifest: Manifest,
    *,
    digest: str,
    stamps: Mapping[Root, Mapping[str, Stamp]],
    trusted_before_ns: int,
    secrets: str = "",
) -> bytes:
    """Encode an index. `stamps` holds each root's stamps by path (text)."""
    ordered: dict[str, list[Stamp]] = {
        root: [of_root.get(entry.path, (0, 0)) for entry in manifest.entries(root)] for root, of_root in stamps.items()
    }
    index = Index(
        version=VERSION,
        manifest=manifest,
        digest=digest,
        trusted_before_ns=trusted_before_ns,
        stamps=ordered,
        secrets=secrets,
    )
    return msgspec.msgpack.encode(index)


def write_again(index: Index) -> bytes:
    """Encode an index that was read, with another manifest of the same entries."""
    return msgspec.msgpack.encode(index)


def known_entries(index: Index | None, root: Root) -> dict[str, KnownEntry]:
    """Return the trusted entries of a root by path (text)."""
    stamps = index.stamps.get(root) if index else None
    if index is None or stamps is None:
        return {}
    trusted_before_ns = index.trusted_before_ns
    return {
        entry.path: (entry, stamp)
        for entry, stamp in zip(index.manifest.entries(root), stamps, strict=False)
        if stamp[0] < trusted_before_ns and (isinstance(entry, HardLink) or entry.mtime_ns < trusted_before_ns)
    }


def is_unchanged(seen: os.stat_result, known: KnownEntry) -> bool:
    """Tell whether a file is the same as in the last scan, with the same content."""
    entry, stamp = known
    return (
        stamp == (seen.st_ctime_ns, seen.st_ino)
        and isinstance(entry, _FILES)
        and entry.mtime_ns == seen.st_mtime_ns
        and entry.size == seen.st_size
    )

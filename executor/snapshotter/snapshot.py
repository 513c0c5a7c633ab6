"""Build a snapshot's manifest from both roots, and the receipt of the save."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from schema.object_keys import manifest_key
from schema.snapshot_manifest import (
    VERSION,
    Entry,
    File,
    Folder,
    LargeFile,
    Manifest,
    Part,
    Roots,
    Stored,
    Symlink,
    path_text,
)
from schema.workspace_api import OF_SECRETS

if TYPE_CHECKING:
    from schema.workspace_api import Root

MOST_SKIPPED = 1000

Skip = tuple["Root", str, str]
"""root, path (as of os.fsdecode), reason"""


@dataclass(frozen=True, kw_only=True)
class SaveOrder:
    """Say what to save. Of the agent's home, `keep` is saved except `drop` and files that hold one of `secrets`."""

    session_id: UUID
    snapshot_id: UUID
    head: UUID | None
    head_digest: str | None
    at_rest: bool
    ignore: list[str]
    workspace: bytes
    home: bytes
    keep: list[str]
    drop: list[str]
    secrets: list[str] = field(default_factory=list, repr=False)


def unchanged_receipt(head: Manifest, digest: str, *, skipped: Sequence[Skip], began: float) -> dict[str, Any]:
    """Return a SyncReceipt in JSON for a save without changes. `began` is a time.monotonic value."""
    receipt = _receipt(head, digest, skipped=skipped, began=began)
    return receipt | {"unchanged": True, "changed": 0, "uploaded": [], "uploadedBytes": 0}


def new_receipt(
    manifest: Manifest,
    digest: str,
    size: int,
    *,
    changed: int,
    uploaded: Sequence[Stored],
    skipped: Sequence[Skip],
    began: float,
) -> dict[str, Any]:
    """Return a SyncReceipt in JSON. `digest` and `size` (bytes) are those of the stored manifest."""
    key = manifest_key(manifest.session_id, manifest.snapshot_id)
    receipt = _receipt(manifest, digest, skipped=skipped, began=began)
    receipt["objects"].append(key)
    receipt["objectSizes"][key] = size
    return receipt | {
        "changed": changed,
        "uploaded": [*(stored.key(manifest.session_id) for stored in uploaded), key],
        "uploadedBytes": sum(stored.size for stored in uploaded) + size,
    }


def _receipt(manifest: Manifest, digest: str, *, skipped: Sequence[Skip], began: float) -> dict[str, Any]:
    return {
        "snapshotId": str(manifest.snapshot_id),
        "files": manifest.files,
        "bytes": manifest.bytes,
        "objects": manifest.object_keys(),
        "objectSizes": {stored.key(manifest.session_id): stored.size for stored in manifest.objects},
        "manifestDigest": digest,
        "skipped": [
            {"root": root, "path": path_text(os.fsencode(path)), "reason": reason}
            for root, path, reason in sorted(skipped, key=_is_no_secret)[:MOST_SKIPPED]
        ],
        "skippedTotal": len(skipped),
        "unreadable": sum(reason == "unreadable" for _, _, reason in skipped),
        "seconds": round(time.monotonic() - began, 3),
    }


def _is_no_secret(skip: Skip) -> bool:
    """Sort what people must learn first: the receipt names MOST_SKIPPED paths."""
    return skip[2] not in OF_SECRETS


def count_changed(head: Manifest | None, manifest: Manifest) -> int:
    """Count the paths that are new, gone or changed since `head`."""
    roots: tuple[Root, Root] = ("workspace", "agent")
    return sum(_count_changed(head.entries(root) if head else [], manifest.entries(root)) for root in roots)


def _count_changed(old: list[Entry], new: list[Entry]) -> int:
    """Count changed paths of one root. An unchanged path is the same object in both lists and is not compared."""
    olds, news = set(map(id, old)), set(map(id, new))
    before = {entry.path: _comparable(entry) for entry in old if id(entry) not in news}
    now = {entry.path: _comparable(entry) for entry in new if id(entry) not in olds}
    return sum(before.get(path) != comparable for path, comparable in now.items()) + len(before.keys() - now.keys())


def _comparable(entry: Entry) -> object:
    """Return an entry's content and properties, without the location of its bytes."""
    if isinstance(entry, File | LargeFile):
        return entry.mode, entry.mtime_ns, entry.size, entry.digest
    return entry


def make_manifest(order: SaveOrder, roots: Roots, objects: list[Stored], head: Manifest | None) -> Manifest:
    """Build the manifest of a new snapshot."""
    roots, objects = _compacted(roots, objects)
    files = [entry for entry in (*roots.workspace, *roots.agent) if type(entry) not in (Folder, Symlink)]
    return Manifest(
        version=VERSION,
        session_id=order.session_id,
        snapshot_id=order.snapshot_id,
        parent=head.snapshot_id if head else None,
        at_rest=order.at_rest,
        created_at=datetime.now(UTC),
        files=len(files),
        bytes=sum(entry.size for entry in files if isinstance(entry, File | LargeFile)),
        objects=objects,
        roots=roots,
    )


def _compacted(roots: Roots, objects: list[Stored]) -> tuple[Roots, list[Stored]]:
    """Drop the objects that no entry needs, and duplicates."""
    entries = (*roots.workspace, *roots.agent)
    used = {entry.pack for entry in entries if type(entry) is File and entry.size}
    used |= {part.object for entry in entries if type(entry) is LargeFile for part in entry.parts}
    if len(used) == len(objects) and len({stored.digest for stored in objects}) == len(objects):
        return roots, objects
    numbers: dict[Stored, int] = {}
    moved = {old: numbers.setdefault(objects[old], len(numbers)) for old in sorted(used)}
    return Roots(_moved(roots.workspace, moved), _moved(roots.agent, moved)), list(numbers)


def _moved(entries: list[Entry], moved: dict[int, int]) -> list[Entry]:
    return [_moved_entry(entry, moved) for entry in entries]


def _moved_entry(entry: Entry, moved: dict[int, int]) -> Entry:
    if isinstance(entry, File):
        pack = moved[entry.pack] if entry.size else 0
        return File(entry.path, entry.mode, entry.mtime_ns, entry.size, entry.digest, pack, entry.offset)
    if isinstance(entry, LargeFile):
        parts = [Part(part.offset, part.size, part.digest, moved[part.object]) for part in entry.parts]
        return LargeFile(entry.path, entry.mode, entry.mtime_ns, entry.size, entry.digest, parts)
    return entry

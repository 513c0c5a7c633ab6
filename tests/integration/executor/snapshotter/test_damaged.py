"""Objects that are damaged, or are not what their manifest says: noticed, and what was there stays."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable

import pytest
import zstandard
from msgspec.structs import replace

from executor.snapshotter.ignore import STAGING
from executor.snapshotter.transfer import ObjectDamaged
from schema.object_keys import manifest_key
from schema.snapshot_manifest import (
    BadManifest,
    Entry,
    File,
    LargeFile,
    Manifest,
    Roots,
    manifest_digest,
    parts_digest,
    write_manifest,
)
from tests.integration.executor.snapshotter.session_disk import SessionDisk, used_disk
from tests.integration.executor.snapshotter.trees import look


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def bomb(_: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(bytes(1 << 30))


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit": flip,
    "truncated": lambda data: data[:-10],
    "empty": lambda _: b"",
    "longer": lambda data: data + b"x",
    "a bomb": bomb,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["packs", "parts", "snapshots"])
def test_a_damaged_object_is_noticed_and_nothing_is_touched(saved: SessionDisk, kind: str, damage: str) -> None:
    there = used_disk(saved)
    before = look(there.workspace)
    [key] = [key for key in saved.objects.stored if f"/{kind}/" in key]
    saved.objects.stored[key] = DAMAGES[damage](saved.objects.stored[key])
    with pytest.raises((ObjectDamaged, BadManifest)):
        there.restore(saved.head)
    assert look(there.workspace) == before
    assert not (there.workspace / STAGING).exists()


def rewrite(saved: SessionDisk, change: Callable[[Manifest], Manifest]) -> None:
    """As a worker would that tells untruths: its manifest fits its digest, and not what it names."""
    assert saved.head is not None
    data = write_manifest(change(saved.manifest()))
    saved.objects.stored[manifest_key(saved.session_id, saved.head)] = data
    saved.digests[saved.head] = manifest_digest(data)


def with_other_bytes(entry: Entry) -> Entry:
    match entry:
        case File():
            return replace(entry, digest="0" * 64)
        case LargeFile():
            parts = [replace(part, digest="0" * 64) for part in entry.parts]
            return replace(entry, parts=parts, digest=parts_digest(entry.size, parts))
    return entry


@pytest.mark.parametrize("kind", [File, LargeFile], ids=["small", "large"])
def test_a_file_that_is_not_what_its_manifest_says_is_not_restored(saved: SessionDisk, kind: type[Entry]) -> None:
    def change(manifest: Manifest) -> Manifest:
        entries = [with_other_bytes(each) if isinstance(each, kind) else each for each in manifest.roots.workspace]
        return replace(manifest, roots=Roots(entries, []))

    rewrite(saved, change)
    there = used_disk(saved)
    before = look(there.workspace)
    with pytest.raises(ObjectDamaged):
        there.restore(saved.head)
    assert look(there.workspace) == before


def test_a_part_that_is_shorter_than_its_manifest_says_is_not_restored(saved: SessionDisk) -> None:
    def longer(entry: Entry) -> Entry:
        if not isinstance(entry, LargeFile):
            return entry
        parts, size = [replace(part, size=part.size + 1) for part in entry.parts], entry.size + 1
        return replace(entry, parts=parts, size=size, digest=parts_digest(size, parts))

    def change(manifest: Manifest) -> Manifest:
        objects = [
            each if each.is_pack else replace(each, size=each.size + 1, raw=each.raw + 1) for each in manifest.objects
        ]
        entries = [longer(entry) for entry in manifest.roots.workspace]
        return replace(manifest, objects=objects, roots=Roots(entries, []))

    assert not any(each.is_zstd for each in saved.manifest().objects if not each.is_pack)
    rewrite(saved, change)
    there = used_disk(saved)
    before = look(there.workspace)
    with pytest.raises(ObjectDamaged):
        there.restore(saved.head)
    assert look(there.workspace) == before


def test_a_pack_that_would_unfold_to_more_than_its_manifest_says_is_not_unfolded(saved: SessionDisk) -> None:
    data = bomb(b"")

    def change(manifest: Manifest) -> Manifest:
        digest = hashlib.sha256(data).hexdigest()
        objects = [replace(each, digest=digest, size=len(data)) if each.is_pack else each for each in manifest.objects]
        for each in objects:
            if each.is_pack:
                saved.objects.stored[each.key(saved.session_id)] = data
        return replace(manifest, objects=objects)

    rewrite(saved, change)
    tracemalloc.start()
    try:
        with pytest.raises(ObjectDamaged):
            saved.another("there").restore(saved.head)
        assert tracemalloc.get_traced_memory()[1] < 1 << 30
    finally:
        tracemalloc.stop()


def test_a_manifest_of_another_snapshot_is_not_taken(saved: SessionDisk) -> None:
    first = saved.head
    (saved.workspace / "more").write_text("more")
    saved.save()
    assert first is not None
    assert saved.head is not None
    saved.objects.stored[manifest_key(saved.session_id, saved.head)] = saved.objects.stored[
        manifest_key(saved.session_id, first)
    ]
    with pytest.raises((BadManifest, ObjectDamaged)):
        saved.another("there").restore(saved.head)

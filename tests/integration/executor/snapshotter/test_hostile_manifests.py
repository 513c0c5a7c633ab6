"""Manifests that claim what cannot be, or what would lead out of a workspace."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any, TypedDict
from uuid import UUID, uuid4

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from schema.object_keys import manifest_key
from schema.snapshot_manifest import (
    ENCODED,
    BadManifest,
    Entry,
    File,
    Folder,
    HardLink,
    LargeFile,
    Manifest,
    Part,
    Roots,
    Stored,
    Symlink,
    is_safe_path,
    path_bytes,
    path_text,
    read_snapshot_manifest,
    write_manifest,
)
from tests.integration.executor.snapshotter.session_disk import SessionDisk
from tests.thoroughness import by_chance, chances


class Ids(TypedDict):
    session_id: UUID
    snapshot_id: UUID


PACK = Stored("a" * 64, 100, 1000, True, True)
PART = Stored("b" * 64, 100, 100, False, False)


def manifest(*entries: Entry, objects: list[Stored] | None = None, **changes: Any) -> tuple[bytes, Ids]:
    """What a worker might store, and whose it would have to be."""
    ids: Ids = {"session_id": uuid4(), "snapshot_id": uuid4()}
    fields: dict[str, Any] = {
        "version": 1,
        **ids,
        "parent": None,
        "at_rest": True,
        "created_at": datetime.now(UTC),
        "files": len(entries),
        "bytes": 0,
        "objects": [PACK, PART] if objects is None else objects,
        "roots": Roots(list(entries), []),
        **changes,
    }
    return write_manifest(Manifest(**fields)), ids


def _raw(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=1 << 24)


def file(path: str, **changes: Any) -> File:
    fields = {"path": path, "mode": 0o644, "mtime_ns": 0, "size": 10, "digest": "0" * 64, "pack": 0, "offset": 0}
    return File(**{**fields, **changes})


def folder(path: str) -> Folder:
    return Folder(path, 0o755, 0)


def encoded(path: str) -> str:
    return ENCODED + b64encode(path.encode()).decode()


UNSAFE = [
    "",
    ".",
    "..",
    "../x",
    "/etc/passwd",
    "a/../../x",
    "a//b",
    "a/",
    "./a",
    "a/.",
    "x\0y",
    "a" * 256,
    "ä" * 128,
    "a/" * 2048,
]
HOSTILE: dict[str, tuple[bytes, Ids]] = {
    **{f"path {path[:10]!r} {len(path)}": manifest(folder("a"), file(path)) for path in UNSAFE},
    **{f"encoded {path[:10]!r} {len(path)}": manifest(file(encoded(path))) for path in UNSAFE},
    "a path that is encoded without need": manifest(file("base64:YQ==")),
    "a path that is no base64": manifest(file("base64:!")),
    "a surrogate": manifest(file("x")),
    "twice": manifest(file("a"), file("a")),
    "below a file": manifest(file("a"), file("a/b")),
    "below a symlink": manifest(Symlink("a", 0, "/etc"), file("a/passwd")),
    "below nothing": manifest(file("a/b")),
    "a folder after what is in it": manifest(file("a/b"), folder("a")),
    "a hard link to nothing": manifest(HardLink("a", "b")),
    "a hard link to a symlink": manifest(Symlink("b", 0, "/etc/passwd"), HardLink("a", "b")),
    "a hard link out": manifest(HardLink("a", "../../etc/passwd")),
    "a symlink to nothing": manifest(Symlink("a", 0, "")),
    "a symlink with a NUL": manifest(Symlink("a", 0, "x\0y")),
    "beyond its pack": manifest(file("a", offset=995)),
    "a digest that is none": manifest(file("a", digest="g" * 64)),
    "a digest in capitals": manifest(file("a", digest="A" * 64)),
    "a digest in other digits": manifest(file("a", digest="\u0661" * 64)),
    "a short digest": manifest(file("a", digest="0" * 63)),
    "a digest of a part that is none": manifest(LargeFile("a", 0, 0, 9, "0" * 64, [Part(0, 9, "g" * 64, 1)])),
    "a pack that is not there": manifest(file("a", pack=7)),
    "a part as a pack": manifest(file("a", pack=1)),
    "a pack as a part": manifest(LargeFile("a", 0o644, 0, 1000, "0" * 64, [Part(0, 1000, "0" * 64, 0)])),
    "parts that overlap": manifest(
        LargeFile("a", 0o644, 0, 200, "0" * 64, [Part(0, 100, "0" * 64, 1), Part(50, 100, "0" * 64, 1)])
    ),
    "parts beyond the end": manifest(LargeFile("a", 0o644, 0, 50, "0" * 64, [Part(0, 100, "0" * 64, 1)])),
    "parts of another": manifest(LargeFile("a", 0o644, 0, 100, "0" * 64, [Part(0, 100, "0" * 64, 1)])),
    "a pack of a gigabyte": manifest(objects=[Stored("a" * 64, 1000, 1 << 30, True, True)]),
    "a pack that is stored as it is": manifest(objects=[Stored("a" * 64, 1000, 1000, True, False)]),
    "a key that leaves its prefix": manifest(objects=[Stored("../../" + "a" * 58, 10, 10, True, True)]),
    "another version": manifest(version=2),
    "another session": manifest(session_id=uuid4()),
    "another snapshot": manifest(snapshot_id=uuid4()),
    "a mode with more bits": manifest(folder("a"), Folder("b", 0o100644, 0)),
    "a negative size": manifest(file("a", size=-1)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_manifest_that_claims_what_cannot_be_is_refused(what: str) -> None:
    data, ids = HOSTILE[what]
    if what == "a surrogate":
        raw = _raw(data).replace(b'"x"', b'"\\ud800"')
        data = zstandard.ZstdCompressor().compress(raw)
    with pytest.raises(BadManifest):
        read_snapshot_manifest(data, **ids)


def test_a_plain_manifest_is_read() -> None:
    data, ids = manifest(folder("a"), file("a/b"), HardLink("c", "a/b"), Symlink("d", -5, "../../anywhere"))
    read = read_snapshot_manifest(data, **ids)
    assert write_manifest(read) == data
    assert [root for root, _ in read.placed()] == ["workspace"] * 4


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no zstd",
        zstandard.ZstdCompressor().compress(b"no json"),
        zstandard.ZstdCompressor().compress(b"[" * 200_000),
        zstandard.ZstdCompressor().compress(b'{"version": 1}'),
        zstandard.ZstdCompressor().compress(bytes(600 << 20)),
    ],
    ids=["nothing", "no zstd", "no json", "deep", "incomplete", "a bomb"],
)
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(BadManifest):
        read_snapshot_manifest(data, session_id=uuid4(), snapshot_id=uuid4())


@by_chance
@chances(200, 100_000)
@given(data=st.data())
def test_a_manifest_with_anything_changed_is_refused_or_safe(data: st.DataObject) -> None:
    stored, ids = manifest(folder("a"), file("a/b"), Symlink("l", 0, "x"), HardLink("h", "a/b"))
    value = msgspec.json.decode(_raw(stored))
    entries = value["roots"]["workspace"]
    entry = data.draw(st.sampled_from(entries))
    at = data.draw(st.integers(0, len(entry) - 1))
    entry[at] = data.draw(
        st.one_of(st.text(max_size=20), st.integers(), st.none(), st.sampled_from(["..", "l/x", "f", "h"]))
    )
    changed = zstandard.ZstdCompressor().compress(msgspec.json.encode(value))
    try:
        read = read_snapshot_manifest(changed, **ids)
    except BadManifest:
        return
    links = {one.path for _, one in read.placed() if isinstance(one, Symlink)}
    for _, one in read.placed():
        assert is_safe_path(path_bytes(one.path))
        assert one.path.rpartition("/")[0] not in links


@given(path=st.binary(max_size=300))
def test_any_name_has_a_text_of_its_own(path: bytes) -> None:
    text = path_text(path)
    assert path_bytes(text) == path
    assert "\ud800" not in text.encode("utf-8").decode("utf-8")


def test_objects_of_a_manifest_are_of_its_session_alone(disk: SessionDisk) -> None:
    (disk.workspace / "f").write_text("x")
    disk.save()
    prefix = f"sessions/{disk.session_id}/"
    assert all(key.startswith(prefix) for key in disk.manifest().object_keys())
    assert disk.head is not None
    assert set(disk.objects.stored) == {*disk.manifest().object_keys(), manifest_key(disk.session_id, disk.head)}

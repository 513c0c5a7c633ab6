"""Workspaces and manifests that want out: links swapped while somebody reads or writes, FIFOs, claims of any kind."""

from __future__ import annotations

import os
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict
from uuid import UUID, uuid4

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from executor.saving import paths
from executor.saving.talk import EngineFailed
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
    read_manifest,
    write_manifest,
)
from tests.integration.engine.places import Place
from tests.thoroughness import by_chance, chances, times


class Ids(TypedDict):
    session_id: UUID
    snapshot_id: UUID


SECRET = b"the machine's own secret"
PACK = Stored("a" * 64, 100, 1000, True, True)
PART = Stored("b" * 64, 100, 100, False, False)


@pytest.fixture(params=["openat2", "step by step"])
def opening(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to open what is below a folder."""
    monkeypatch.setattr(paths, "_has_openat2", request.param == "openat2")
    return str(request.param)


@contextmanager
def swapping(path: Path, outside: Path, make: Callable[[], None]) -> Iterator[list[int]]:
    """All the time `path` is by turns what `make` makes and a link to `outside`; the number of turns so far."""
    turns, ended = [0], threading.Event()

    def swap() -> None:
        aside = path.with_name("aside")
        link = path.with_name("link")
        while not ended.is_set():
            with suppress(OSError):  # whoever works here at the same time may have moved one of them
                _swap(path, aside, link, outside)
            if not os.path.lexists(path):
                with suppress(OSError):
                    make()
            turns[0] += 1

    make()
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield turns
    finally:
        ended.set()
        thread.join()


def _swap(path: Path, aside: Path, link: Path, outside: Path) -> None:
    if not link.is_symlink():
        link.symlink_to(outside)
    os.rename(path, aside)
    os.rename(link, path)
    os.rename(path, link)
    os.rename(aside, path)


@pytest.mark.timeout(times(180, 3600))
@pytest.mark.usefixtures("opening")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_swapped_in_while_a_save_reads_leads_nowhere(place: Place, tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "passwd").write_bytes(SECRET)
    target = outside if kind == "folder" else outside / "passwd"
    swapped = place.workspace / "swapped"

    def make() -> None:
        if kind == "folder":
            swapped.mkdir()
            (swapped / "passwd").write_bytes(b"the agent's own")
        else:
            swapped.write_bytes(b"the agent's own")

    with swapping(swapped, target, make) as turns:
        while turns[0] < times(5000, 100_000):
            place.index = None
            place.save()
    raw = [_raw(data) for key, data in place.objects.stored.items() if "/packs/" in key]
    assert any(b"the agent's own" in data for data in raw)
    assert not any(SECRET in data for data in raw)


@pytest.mark.timeout(times(180, 3600))
@pytest.mark.usefixtures("opening")
def test_a_link_swapped_in_while_a_restore_writes_leads_nowhere(place: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    before = outside.stat()
    for number in range(5):
        (place.workspace / "swapped" / f"d{number}").mkdir(parents=True)
        (place.workspace / "swapped" / f"d{number}" / "f").write_text("restored")
    place.save()
    there = place.another("there")
    swapped = there.workspace / "swapped"
    with swapping(swapped, outside, swapped.mkdir) as turns:
        while turns[0] < times(5000, 100_000):
            try:
                there.restore(place.head)
            except (OSError, EngineFailed):
                continue  # it may fail, for the folder is not always there
    assert os.listdir(outside) == []
    after = outside.stat()
    assert (before.st_mode, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_mode,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


def _raw(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=1 << 24)


def test_nothing_that_would_block_is_waited_for(place: Place) -> None:
    os.mkfifo(place.workspace / "fifo")
    swapped = place.workspace / "swapped"
    (place.workspace / "other").touch()
    with swapping(swapped, place.workspace / "fifo", lambda: os.mkfifo(swapped)) as turns:
        while turns[0] < 50:
            place.index = None
            place.save()
    reasons = {(one["path"], one["reason"]) for one in place.save().receipt["skipped"]}
    assert ("fifo", "fifo") in reasons


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device files")
def test_devices_are_named_and_not_opened(place: Place) -> None:
    os.mknod(place.workspace / "zero", 0o020666, os.makedev(1, 5))
    assert [one["reason"] for one in place.save().receipt["skipped"]] == ["device"]


def test_paths_that_the_system_cannot_open_at_once_are_named(place: Place) -> None:
    """4 KB and more: each folder is entered from the one before."""
    at = os.open(place.workspace, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=at)
        at, before = os.open("d" * 200, os.O_RDONLY, dir_fd=at), at
        os.close(before)
    os.close(os.open("deep", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    receipt = place.save().receipt
    assert [one["reason"] for one in receipt["skipped"]] == ["too_long"]
    there = place.another("there")
    there.restore(place.head)
    deepest = max((entry.path for entry in place.manifest().entries("workspace")), key=len)
    assert 3800 < len(deepest) <= 4095


def test_deep_trees_that_are_in_the_way_are_taken_away(place: Place) -> None:
    (place.workspace / "d").write_text("a file now")
    place.save()
    there = place.another("there")
    at = os.open(there.workspace, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=at)
        at, before = os.open("d", os.O_RDONLY, dir_fd=at), at
        os.close(before)
    os.close(at)
    there.restore(place.head)
    assert (there.workspace / "d").read_text() == "a file now"
    assert os.listdir(there.workspace) == ["d"]


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


def file(path: str, **changes: Any) -> File:
    fields = {"path": path, "mode": 0o644, "mtime_ns": 0, "size": 10, "digest": "0" * 64, "pack": 0, "offset": 0}
    return File(**{**fields, **changes})


def folder(path: str) -> Folder:
    return Folder(path, 0o755, 0)


def encoded(path: str) -> str:
    return ENCODED + b64encode(path.encode()).decode()


UNSAFE = ["", ".", "..", "../x", "/etc/passwd", "a/../../x", "a//b", "a/", "./a", "a/.", "x\0y", "a" * 256, "a/" * 2048]
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
        read_manifest(data, **ids)


def test_a_plain_manifest_is_read() -> None:
    data, ids = manifest(folder("a"), file("a/b"), HardLink("c", "a/b"), Symlink("d", -5, "../../anywhere"))
    read = read_manifest(data, **ids)
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
        read_manifest(data, session_id=uuid4(), snapshot_id=uuid4())


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
        read = read_manifest(changed, **ids)
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


def test_objects_of_a_manifest_are_of_its_session_alone(place: Place) -> None:
    (place.workspace / "f").write_text("x")
    place.save()
    prefix = f"sessions/{place.session_id}/"
    assert all(key.startswith(prefix) for key in place.manifest().object_keys())
    assert place.head is not None
    assert set(place.objects.stored) == {*place.manifest().object_keys(), manifest_key(place.session_id, place.head)}

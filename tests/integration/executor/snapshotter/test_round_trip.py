"""restore(save(tree)) == tree, for two roots with everything in them that a file system may hold."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.snapshotter import objects as contents
from executor.snapshotter import scan
from executor.snapshotter import stable_read as reading
from executor.snapshotter.ignore import STAGING
from schema.snapshot_manifest import LATEST
from tests.integration.executor.snapshotter.objects import Objects
from tests.integration.executor.snapshotter.session_disk import SessionDisk
from tests.integration.executor.snapshotter.trees import TREES, Branch, Leaf, grow, look
from tests.thoroughness import by_chance, chances, times

KEPT = st.builds(Branch, mode=st.just(0o755), mtime_ns=st.just(5), inside=TREES)


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small trees have many packs and parts."""
    monkeypatch.setattr(contents, "PACK_BYTES", 100_000)
    monkeypatch.setattr(reading, "PART_BYTES", 300_000)


@pytest.mark.timeout(times(180, 4 * 3600))
@pytest.mark.usefixtures("small_packs")
@by_chance
@chances(50, 5000)
@given(workspace=TREES, kept=KEPT, later=TREES)
def test_what_is_saved_comes_back_as_it_was(
    objects: Objects, workspace: dict[bytes, Leaf | Branch], kept: Branch, later: dict[bytes, Leaf | Branch]
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="runyard-tree-"))
    try:
        disk = SessionDisk(folder / "a", objects)
        grow(disk.workspace, workspace)
        grow(disk.home, {b"kept": kept})
        first = look(disk.workspace), look(disk.home)
        first_id = _saved(disk)

        _plant(disk.workspace, later)
        _saved(disk)
        second = look(disk.workspace), look(disk.home)
        second_id = disk.head
        assert disk.save().receipt["unchanged"]

        for number, (snapshot_id, tree) in enumerate([(first_id, first), (second_id, second)]):
            fresh = disk.another(f"b{number}")
            fresh.restore(snapshot_id)
            assert (look(fresh.workspace), look(fresh.home)) == tree
            assert fresh.save().receipt["unchanged"]
    finally:
        shutil.rmtree(folder)


def _saved(disk: SessionDisk) -> UUID | None:
    receipt = disk.save().receipt
    assert {one["reason"] for one in receipt["skipped"]} <= {"fifo", "socket"}
    assert set(receipt["objects"]) <= set(disk.objects.stored)
    return disk.head


def _plant(folder: Path, tree: dict[bytes, Leaf | Branch]) -> None:
    """The later tree takes the place of whatever has its names."""
    for name in tree:
        path = os.fsencode(folder) + b"/" + name
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)
    grow(folder, tree)


@pytest.mark.parametrize("seconds", [7_258_118_400, 10_413_792_000], ids=["2200", "2300"])
def test_times_beyond_what_a_manifest_can_hold_hinder_no_save(disk: SessionDisk, seconds: int) -> None:
    """What has such a time is read at each save, and comes back with the nearest time that there is."""
    (disk.workspace / "folder").mkdir()
    for name in ("file", "link", "large", "folder"):
        path = disk.workspace / name
        if name == "link":
            path.symlink_to("file")
        elif name != "folder":
            path.write_bytes(b"x" * (reading.LARGE_BYTES if name == "large" else 1))
        os.utime(path, (seconds, seconds), follow_symlinks=False)
    disk.save()
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    times_there = {path.lstat().st_mtime_ns for path in fresh.workspace.iterdir()}
    assert times_there == {min(seconds * 10**9, LATEST)}
    assert disk.save().receipt["unchanged"]


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
@pytest.mark.parametrize("passed_over", [STAGING, "nothing, by an older executor"])
def test_what_has_the_name_that_restores_use_hinders_none(
    disk: SessionDisk, kind: str, passed_over: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = disk.workspace / STAGING
    if kind == "folder":
        (odd / "new").mkdir(parents=True)
    elif kind == "link":
        odd.symlink_to("/etc")
    else:
        odd.touch()
    (disk.workspace / "precious").write_text("precious")
    monkeypatch.setattr(scan, "STAGING", passed_over)
    skipped = disk.save().receipt["skipped"]
    assert passed_over != STAGING or [(one["path"], one["reason"]) for one in skipped] == [(STAGING, "reserved")]
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    assert os.listdir(fresh.workspace) == ["precious"]


@pytest.mark.parametrize(
    ("content", "is_packed"),
    [
        (lambda: os.urandom(3 << 20), False),
        (lambda: b"a line of text\n" * (3 << 16), True),
        (lambda: os.urandom(2 << 20) + bytes(1 << 20), True),
        (lambda: bytes(1 << 20) + os.urandom(63 << 14), True),
        (lambda: os.urandom((1 << 20) + 1), False),
    ],
    ids=["random", "text", "its end is zeros", "its begin is zeros", "one byte more than the least"],
)
def test_a_large_file_is_packed_where_that_makes_it_smaller(
    disk: SessionDisk, content: Callable[[], bytes], *, is_packed: bool
) -> None:
    data = content()
    (disk.workspace / "large").write_bytes(data)
    receipt = disk.save().receipt
    [stored] = disk.manifest().objects
    assert (stored.is_zstd, stored.raw) == (is_packed, len(data))
    assert (stored.size < len(data) * 15 // 16) == is_packed
    assert receipt["bytes"] == len(data)
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    assert (fresh.workspace / "large").read_bytes() == data

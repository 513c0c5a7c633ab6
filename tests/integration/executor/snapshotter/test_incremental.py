"""What is read and uploaded again, and what is not."""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from executor.snapshotter import objects as contents
from executor.snapshotter import stable_read as reading
from executor.snapshotter.index import MARGIN_NS
from executor.snapshotter.stable_read import PART_BYTES
from executor.snapshotter.transfer import ObjectDamaged
from schema.object_keys import manifest_key
from schema.snapshot_manifest import LargeFile, write_manifest
from tests.acceptance.waiting import wait_until
from tests.integration.executor.snapshotter.session_disk import DirectChannel, SessionDisk


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of what was read of files."""
    counted: list[int] = []
    real = os.pread

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        counted.append(size)
        return real(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", pread)
    return counted


def fill(folder: Path, count: int, *, text: str = "") -> None:
    for number in range(count):
        path = folder / f"d{number % 7}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}{text}" * 20)


def let_times_settle(disk: SessionDisk) -> None:
    """Until a file that is there now cannot have been written in the moment of the next scan."""
    newest = max(os.lstat(path).st_ctime_ns for path in disk.folder.rglob("*"))
    wait_until(lambda: time.time_ns() > newest + MARGIN_NS, seconds=10, what="the clock stands still")


def test_an_unchanged_tree_is_scanned_and_not_read(disk: SessionDisk, reads: list[int]) -> None:
    fill(disk.workspace, 300)
    fill(disk.home / "kept", 20)
    let_times_settle(disk)
    first = disk.save()
    assert (first.receipt["files"], len(reads)) == (320, 320)
    calls = len(disk.objects.calls)
    for at_rest in (True, False):
        second = disk.save(at_rest=at_rest)
        assert second.receipt["unchanged"]
        assert second.receipt["snapshotId"] == first.receipt["snapshotId"]
        assert second.receipt["manifestDigest"] == first.receipt["manifestDigest"]
    assert (len(reads), len(disk.objects.calls)) == (320, calls)


def test_a_file_written_just_before_a_save_is_read_once_more(disk: SessionDisk, reads: list[int]) -> None:
    """It may have changed again in the same tick of the clock, and its own time may be any."""
    (disk.workspace / "f").write_text("new")
    os.utime(disk.workspace / "f", (1, 1))
    disk.save()
    let_times_settle(disk)
    reads.clear()
    disk.save()
    assert len(reads) == 1
    disk.save()
    assert len(reads) == 1


def test_only_what_changed_is_read_and_uploaded(disk: SessionDisk, reads: list[int]) -> None:
    fill(disk.workspace, 300)
    let_times_settle(disk)
    disk.save()
    reads.clear()
    (disk.workspace / "d1" / "f1").write_text("new")
    (disk.workspace / "d2" / "f2").unlink()
    (disk.workspace / "d3" / "more").write_text("more")
    receipt = disk.save().receipt
    assert sorted(reads) == [4, 5]
    assert receipt["changed"] == 5  # these three, and two folders' times
    assert len(receipt["uploaded"]) == 2


def test_the_first_save_after_a_restore_reads_nothing(disk: SessionDisk, reads: list[int]) -> None:
    fill(disk.workspace, 100)
    (disk.workspace / "large").write_bytes(os.urandom(3 << 20))
    disk.save()
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    reads.clear()
    assert fresh.save().receipt["unchanged"]
    assert reads == []


def test_a_file_rewritten_with_the_same_size_and_time_is_noticed(disk: SessionDisk) -> None:
    path = disk.workspace / "f"
    for settle in (False, True):
        path.write_text("one")
        before = path.stat()
        if settle:
            let_times_settle(disk)
        disk.save()
        path.write_text("two")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_mtime_ns == before.st_mtime_ns
        disk.save()
        fresh = disk.another(f"fresh{settle}")
        fresh.restore(disk.head)
        assert (fresh.workspace / "f").read_text() == "two"


def test_a_change_by_way_of_a_mapping_is_noticed(disk: SessionDisk) -> None:
    """The system gives a mapped file a new time at the first change, and the next when it was on the disk between."""
    path = disk.workspace / "mapped"
    path.write_bytes(bytes(8192))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = 1
        let_times_settle(disk)
        disk.save(at_rest=False)
        mapped[1] = 2
    let_times_settle(disk)
    disk.save()
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    assert (fresh.workspace / "mapped").read_bytes() == path.read_bytes()


def test_without_its_index_a_place_is_read_but_not_uploaded_again(disk: SessionDisk, reads: list[int]) -> None:
    fill(disk.workspace, 50)
    (disk.workspace / "large").write_bytes(os.urandom(2 << 20))
    disk.save()
    disk.index = None
    reads.clear()
    puts = disk.objects.count("PUT")
    assert disk.save().receipt["unchanged"]
    assert len(reads) >= 51
    assert disk.objects.count("PUT") == puts


def test_without_its_index_a_damaged_head_is_not_counted_on(disk: SessionDisk) -> None:
    fill(disk.workspace, 5)
    disk.save()
    assert disk.head is not None
    disk.index = None
    manifest = replace(disk.manifest(), files=4)
    disk.objects.stored[manifest_key(disk.session_id, disk.head)] = write_manifest(manifest)
    with pytest.raises(ObjectDamaged):
        disk.save()


def test_a_save_that_was_never_committed_is_not_counted_on(disk: SessionDisk) -> None:
    fill(disk.workspace, 30)
    disk.save()
    committed = disk.head
    (disk.workspace / "new").write_text("not committed")
    lost = disk.save().receipt
    disk.head = committed
    for key in set(lost["uploaded"]):
        del disk.objects.stored[key]
    disk.save()
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    assert (fresh.workspace / "new").read_text() == "not committed"


def test_of_a_large_file_only_the_changed_part_is_uploaded(disk: SessionDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PART_BYTES", 1 << 20)
    path = disk.workspace / "large"
    path.write_bytes(os.urandom(5 << 20))
    assert len(disk.save().receipt["uploaded"]) == 6
    with path.open("r+b") as file:
        file.seek((2 << 20) + 7)
        file.write(b"changed")
    with path.open("ab") as file:
        file.write(b"appended")
    receipt = disk.save().receipt
    assert len(receipt["uploaded"]) == 3  # the changed part, the appended one, the manifest
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    assert (fresh.workspace / "large").read_bytes() == path.read_bytes()


def test_reading_what_is_in_the_store_already_is_progress_too(
    disk: SessionDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = disk.workspace / "large"
    path.write_bytes(os.urandom(PART_BYTES + 1))
    disk.save()
    os.utime(path)
    told: list[int] = []
    monkeypatch.setattr(DirectChannel, "add", lambda _, *, files=0, amount=0: told.append(files or amount))
    assert disk.save().receipt["uploaded"] != []
    assert told == [PART_BYTES, 1, 1]


def test_holes_stay_holes(disk: SessionDisk) -> None:
    path = disk.workspace / "sparse"
    with path.open("wb") as file:
        file.truncate(50 << 30)
        file.seek(20 << 30)
        file.write(b"in the middle")
    receipt = disk.save().receipt
    assert receipt["bytes"] == 50 << 30
    assert receipt["uploadedBytes"] < 10_000
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    again = fresh.workspace / "sparse"
    assert again.stat().st_size == 50 << 30
    assert again.stat().st_blocks * 512 < 1 << 20
    with again.open("rb") as file:
        file.seek(20 << 30)
        assert file.read(20) == b"in the middle" + bytes(7)


def test_the_number_of_objects_stays_bounded(disk: SessionDisk) -> None:
    fill(disk.workspace, 40)
    for number in range(60):
        (disk.workspace / f"new{number}").write_text(f"{number}")
        (disk.workspace / "state").write_text(f"state {number}")
        disk.save()
    assert len(disk.manifest().objects) <= contents.SMALL_PACKS + 3
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    assert (fresh.workspace / "new0").read_text() == "0"
    assert (fresh.workspace / "state").read_text() == "state 59"


def test_a_live_agents_home_is_that_of_the_last_save(disk: SessionDisk, reads: list[int]) -> None:
    fill(disk.home / "kept", 5)
    (disk.workspace / "f").write_text("one")
    disk.save()
    (disk.home / "kept" / "d1" / "f1").write_text("while the agent writes")
    (disk.workspace / "f").write_text("two")
    reads.clear()
    disk.save(at_rest=False)
    assert reads == [4]
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    assert (fresh.home / "kept" / "d1" / "f1").read_text() == "1" * 20
    assert (fresh.workspace / "f").read_text() == "two"


def test_of_the_home_only_what_is_kept_is_saved_and_no_login(disk: SessionDisk) -> None:
    fill(disk.home / "kept", 3)
    fill(disk.home / "cache", 3)
    (disk.home / "kept" / "secret").write_text("a login")
    (disk.home / "kept" / "secret.more").write_text("no login")
    disk.save()
    paths = [entry.path for entry in disk.manifest().entries("agent")]
    assert "kept/secret" not in paths
    assert "kept/secret.more" in paths
    assert not any(path.startswith("cache") for path in paths)


def test_of_the_home_nothing_comes_back_that_is_not_kept_any_more(disk: SessionDisk) -> None:
    fill(disk.home / "kept", 3)
    fill(disk.home / "cache", 3)
    (disk.home / "kept" / "secret").write_text("a login")
    disk.keep, disk.drop = ("kept", "cache"), ()
    disk.save()
    fresh = disk.another("fresh")
    fresh.keep, fresh.drop = ("kept",), ("kept/secret",)
    receipt = fresh.restore(disk.head).receipt
    assert {path.name for path in (fresh.home / "kept").iterdir()} == {
        path.name for path in (disk.home / "kept").iterdir()
    } - {"secret"}
    assert not [path for path in (fresh.home / "cache").rglob("*") if path.is_file()]
    assert ("kept/secret", "not_kept") in {(each["path"], each["reason"]) for each in receipt["reasons"]}


@pytest.mark.parametrize(
    "patterns",
    [
        ("__pycache__/", "/mnt/cache/", ".DS_Store"),
        ("**/__pycache__/", "/mnt/cache", "*.DS_Store"),
        ("[_]_pycache__/", "mnt/", ".DS*"),
    ],
)
def test_what_is_ignored_is_not_saved(disk: SessionDisk, patterns: tuple[str, ...]) -> None:
    for path in ("a/__pycache__/x.pyc", "mnt/cache/x", "a/.DS_Store", "a/keep", "__pycache__x"):
        at = disk.workspace / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.touch()
    disk.save(ignore=patterns)
    paths = {entry.path for entry in disk.manifest().entries("workspace")}
    assert paths - {"mnt"} == {"a", "a/keep", "__pycache__x"}


def test_parts_and_holes_of_a_file_in_many_pieces(disk: SessionDisk) -> None:
    path = disk.workspace / "pieces"
    with path.open("wb") as file:
        for number in range(6):
            file.seek(number * PART_BYTES + 4096 * number)
            file.write(b"x" * 4096)
        file.truncate(7 * PART_BYTES)
    disk.save()
    [entry] = disk.manifest().entries("workspace")
    assert isinstance(entry, LargeFile)
    assert len(entry.parts) == 6
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    assert (fresh.workspace / "pieces").read_bytes() == path.read_bytes()

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
from tests.integration.executor.snapshotter.places import DirectChannel, Place


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


def let_times_settle(place: Place) -> None:
    """Until a file that is there now cannot have been written in the moment of the next scan."""
    newest = max(os.lstat(path).st_ctime_ns for path in place.folder.rglob("*"))
    wait_until(lambda: time.time_ns() > newest + MARGIN_NS, seconds=10, what="the clock stands still")


def test_an_unchanged_tree_is_scanned_and_not_read(place: Place, reads: list[int]) -> None:
    fill(place.workspace, 300)
    fill(place.home / "kept", 20)
    let_times_settle(place)
    first = place.save()
    assert (first.receipt["files"], len(reads)) == (320, 320)
    calls = len(place.objects.calls)
    for at_rest in (True, False):
        second = place.save(at_rest=at_rest)
        assert second.receipt["unchanged"]
        assert second.receipt["snapshotId"] == first.receipt["snapshotId"]
        assert second.receipt["manifestDigest"] == first.receipt["manifestDigest"]
    assert (len(reads), len(place.objects.calls)) == (320, calls)


def test_a_file_written_just_before_a_save_is_read_once_more(place: Place, reads: list[int]) -> None:
    """It may have changed again in the same tick of the clock, and its own time may be any."""
    (place.workspace / "f").write_text("new")
    os.utime(place.workspace / "f", (1, 1))
    place.save()
    let_times_settle(place)
    reads.clear()
    place.save()
    assert len(reads) == 1
    place.save()
    assert len(reads) == 1


def test_only_what_changed_is_read_and_uploaded(place: Place, reads: list[int]) -> None:
    fill(place.workspace, 300)
    let_times_settle(place)
    place.save()
    reads.clear()
    (place.workspace / "d1" / "f1").write_text("new")
    (place.workspace / "d2" / "f2").unlink()
    (place.workspace / "d3" / "more").write_text("more")
    receipt = place.save().receipt
    assert sorted(reads) == [4, 5]
    assert receipt["changed"] == 5  # these three, and two folders' times
    assert len(receipt["uploaded"]) == 2


def test_the_first_save_after_a_restore_reads_nothing(place: Place, reads: list[int]) -> None:
    fill(place.workspace, 100)
    (place.workspace / "large").write_bytes(os.urandom(3 << 20))
    place.save()
    fresh = place.another("fresh")
    fresh.restore(place.head)
    reads.clear()
    assert fresh.save().receipt["unchanged"]
    assert reads == []


def test_a_file_rewritten_with_the_same_size_and_time_is_noticed(place: Place) -> None:
    path = place.workspace / "f"
    for settle in (False, True):
        path.write_text("one")
        before = path.stat()
        if settle:
            let_times_settle(place)
        place.save()
        path.write_text("two")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_mtime_ns == before.st_mtime_ns
        place.save()
        fresh = place.another(f"fresh{settle}")
        fresh.restore(place.head)
        assert (fresh.workspace / "f").read_text() == "two"


def test_a_change_by_way_of_a_mapping_is_noticed(place: Place) -> None:
    """The system gives a mapped file a new time at the first change, and the next when it was on the disk between."""
    path = place.workspace / "mapped"
    path.write_bytes(bytes(8192))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = 1
        let_times_settle(place)
        place.save(at_rest=False)
        mapped[1] = 2
    let_times_settle(place)
    place.save()
    fresh = place.another("fresh")
    fresh.restore(place.head)
    assert (fresh.workspace / "mapped").read_bytes() == path.read_bytes()


def test_without_its_index_a_place_is_read_but_not_uploaded_again(place: Place, reads: list[int]) -> None:
    fill(place.workspace, 50)
    (place.workspace / "large").write_bytes(os.urandom(2 << 20))
    place.save()
    place.index = None
    reads.clear()
    puts = place.objects.count("PUT")
    assert place.save().receipt["unchanged"]
    assert len(reads) >= 51
    assert place.objects.count("PUT") == puts


def test_without_its_index_a_damaged_head_is_not_counted_on(place: Place) -> None:
    fill(place.workspace, 5)
    place.save()
    assert place.head is not None
    place.index = None
    manifest = replace(place.manifest(), files=4)
    place.objects.stored[manifest_key(place.session_id, place.head)] = write_manifest(manifest)
    with pytest.raises(ObjectDamaged):
        place.save()


def test_a_save_that_was_never_committed_is_not_counted_on(place: Place) -> None:
    fill(place.workspace, 30)
    place.save()
    committed = place.head
    (place.workspace / "new").write_text("not committed")
    lost = place.save().receipt
    place.head = committed
    for key in set(lost["uploaded"]):
        del place.objects.stored[key]
    place.save()
    fresh = place.another("fresh")
    fresh.restore(place.head)
    assert (fresh.workspace / "new").read_text() == "not committed"


def test_of_a_large_file_only_the_changed_part_is_uploaded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PART_BYTES", 1 << 20)
    path = place.workspace / "large"
    path.write_bytes(os.urandom(5 << 20))
    assert len(place.save().receipt["uploaded"]) == 6
    with path.open("r+b") as file:
        file.seek((2 << 20) + 7)
        file.write(b"changed")
    with path.open("ab") as file:
        file.write(b"appended")
    receipt = place.save().receipt
    assert len(receipt["uploaded"]) == 3  # the changed part, the appended one, the manifest
    fresh = place.another("fresh")
    fresh.restore(place.head)
    assert (fresh.workspace / "large").read_bytes() == path.read_bytes()


def test_reading_what_is_in_the_store_already_is_progress_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place.workspace / "large"
    path.write_bytes(os.urandom(PART_BYTES + 1))
    place.save()
    os.utime(path)
    told: list[int] = []
    monkeypatch.setattr(DirectChannel, "add", lambda _, *, files=0, amount=0: told.append(files or amount))
    assert place.save().receipt["uploaded"] != []
    assert told == [PART_BYTES, 1, 1]


def test_holes_stay_holes(place: Place) -> None:
    path = place.workspace / "sparse"
    with path.open("wb") as file:
        file.truncate(50 << 30)
        file.seek(20 << 30)
        file.write(b"in the middle")
    receipt = place.save().receipt
    assert receipt["bytes"] == 50 << 30
    assert receipt["uploadedBytes"] < 10_000
    fresh = place.another("fresh")
    fresh.restore(place.head)
    again = fresh.workspace / "sparse"
    assert again.stat().st_size == 50 << 30
    assert again.stat().st_blocks * 512 < 1 << 20
    with again.open("rb") as file:
        file.seek(20 << 30)
        assert file.read(20) == b"in the middle" + bytes(7)


def test_the_number_of_objects_stays_bounded(place: Place) -> None:
    fill(place.workspace, 40)
    for number in range(60):
        (place.workspace / f"new{number}").write_text(f"{number}")
        (place.workspace / "state").write_text(f"state {number}")
        place.save()
    assert len(place.manifest().objects) <= contents.SMALL_PACKS + 3
    fresh = place.another("fresh")
    fresh.restore(place.head)
    assert (fresh.workspace / "new0").read_text() == "0"
    assert (fresh.workspace / "state").read_text() == "state 59"


def test_a_live_agents_home_is_that_of_the_last_save(place: Place, reads: list[int]) -> None:
    fill(place.home / "kept", 5)
    (place.workspace / "f").write_text("one")
    place.save()
    (place.home / "kept" / "d1" / "f1").write_text("while the agent writes")
    (place.workspace / "f").write_text("two")
    reads.clear()
    place.save(at_rest=False)
    assert reads == [4]
    fresh = place.another("fresh")
    fresh.restore(place.head)
    assert (fresh.home / "kept" / "d1" / "f1").read_text() == "1" * 20
    assert (fresh.workspace / "f").read_text() == "two"


def test_of_the_home_only_what_is_kept_is_saved_and_no_login(place: Place) -> None:
    fill(place.home / "kept", 3)
    fill(place.home / "cache", 3)
    (place.home / "kept" / "secret").write_text("a login")
    (place.home / "kept" / "secret.more").write_text("no login")
    place.save()
    paths = [entry.path for entry in place.manifest().entries("agent")]
    assert "kept/secret" not in paths
    assert "kept/secret.more" in paths
    assert not any(path.startswith("cache") for path in paths)


def test_of_the_home_nothing_comes_back_that_is_not_kept_any_more(place: Place) -> None:
    fill(place.home / "kept", 3)
    fill(place.home / "cache", 3)
    (place.home / "kept" / "secret").write_text("a login")
    place.keep, place.drop = ("kept", "cache"), ()
    place.save()
    fresh = place.another("fresh")
    fresh.keep, fresh.drop = ("kept",), ("kept/secret",)
    receipt = fresh.restore(place.head).receipt
    assert {path.name for path in (fresh.home / "kept").iterdir()} == {
        path.name for path in (place.home / "kept").iterdir()
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
def test_what_is_ignored_is_not_saved(place: Place, patterns: tuple[str, ...]) -> None:
    for path in ("a/__pycache__/x.pyc", "mnt/cache/x", "a/.DS_Store", "a/keep", "__pycache__x"):
        at = place.workspace / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.touch()
    place.save(ignore=patterns)
    paths = {entry.path for entry in place.manifest().entries("workspace")}
    assert paths - {"mnt"} == {"a", "a/keep", "__pycache__x"}


def test_parts_and_holes_of_a_file_in_many_pieces(place: Place) -> None:
    path = place.workspace / "pieces"
    with path.open("wb") as file:
        for number in range(6):
            file.seek(number * PART_BYTES + 4096 * number)
            file.write(b"x" * 4096)
        file.truncate(7 * PART_BYTES)
    place.save()
    [entry] = place.manifest().entries("workspace")
    assert isinstance(entry, LargeFile)
    assert len(entry.parts) == 6
    fresh = place.another("fresh")
    fresh.restore(place.head)
    assert (fresh.workspace / "pieces").read_bytes() == path.read_bytes()

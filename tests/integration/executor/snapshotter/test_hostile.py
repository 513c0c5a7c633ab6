"""Workspaces that want out: links swapped while somebody reads or writes, FIFOs, depths."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import zstandard

from executor.snapshotter import paths
from executor.snapshotter.paths import FOLDER, open_below, open_root
from executor.snapshotter.protocol import SnapshotterFailed
from executor.snapshotter.stable_read import NotReadable, open_file
from tests.integration.executor.snapshotter.session_disk import SessionDisk
from tests.thoroughness import times

SECRET = b"the machine's own secret"


@pytest.fixture(params=["openat2", "step by step"])
def opening(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to open what is below a folder."""
    monkeypatch.setattr(paths, "_has_openat2", request.param == "openat2")
    return str(request.param)


@pytest.mark.usefixtures("opening")
@pytest.mark.parametrize(
    "path",
    [
        "out",
        "out/file",
        "in",
        "in/file",
        "folder/back/file",
        "top/file",
        "..",
        "../outside/file",
        "folder/../../outside",
    ],
)
def test_nothing_is_opened_through_a_link_or_above_the_folder(tmp_path: Path, path: str) -> None:
    """Links that stay inside lead nowhere either: whoever put one there decides what is read and written."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "folder", outside):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    for link, target in {"out": "../outside", "in": "folder", "folder/back": "../folder", "top": "."}.items():
        (root / link).symlink_to(target)
    below = open_root(os.fsencode(root))
    try:
        os.close(open_below(below, b"folder/file", os.O_RDONLY))
        with pytest.raises(OSError):
            open_below(below, os.fsencode(path), os.O_RDONLY)
    finally:
        os.close(below)


def test_a_root_that_is_a_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(NotADirectoryError):
        open_root(os.fsencode(tmp_path / "link"))


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_what_took_the_place_of_a_file_since_the_scan_is_not_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    folder = os.open(tmp_path, FOLDER)
    try:
        os.close(open_file(folder, "file"))
        with pytest.raises(NotReadable, match="changing"):
            open_file(folder, kind)
    finally:
        os.close(folder)


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
def test_a_link_swapped_in_while_a_save_reads_leads_nowhere(disk: SessionDisk, tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "passwd").write_bytes(SECRET)
    target = outside if kind == "folder" else outside / "passwd"
    swapped = disk.workspace / "swapped"

    def make() -> None:
        if kind == "folder":
            swapped.mkdir()
            (swapped / "passwd").write_bytes(b"the agent's own")
        else:
            swapped.write_bytes(b"the agent's own")

    def packs() -> list[bytes]:
        return [_raw(data) for key, data in disk.objects.stored.items() if "/packs/" in key]

    with swapping(swapped, target, make) as turns:
        while turns[0] < times(5000, 100_000) or not any(b"the agent's own" in data for data in packs()):
            disk.index = None
            disk.save()
    assert not any(SECRET in data for data in packs())


@pytest.mark.timeout(times(180, 3600))
@pytest.mark.usefixtures("opening")
def test_a_link_swapped_in_while_a_restore_writes_leads_nowhere(disk: SessionDisk, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    before = outside.stat()
    for number in range(5):
        (disk.workspace / "swapped" / f"d{number}").mkdir(parents=True)
        (disk.workspace / "swapped" / f"d{number}" / "f").write_text("restored")
    disk.save()
    there = disk.another("there")
    swapped = there.workspace / "swapped"
    with swapping(swapped, outside, swapped.mkdir) as turns:
        while turns[0] < times(5000, 100_000):
            try:
                there.restore(disk.head)
            except (OSError, SnapshotterFailed):
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


def test_nothing_that_would_block_is_waited_for(disk: SessionDisk) -> None:
    os.mkfifo(disk.workspace / "fifo")
    swapped = disk.workspace / "swapped"
    (disk.workspace / "other").touch()
    with swapping(swapped, disk.workspace / "fifo", lambda: os.mkfifo(swapped)) as turns:
        while turns[0] < 50:
            disk.index = None
            disk.save()
    reasons = {(one["path"], one["reason"]) for one in disk.save().receipt["skipped"]}
    assert ("fifo", "fifo") in reasons


def test_devices_are_named_and_not_opened(disk: SessionDisk) -> None:
    try:
        os.mknod(disk.workspace / "zero", 0o020666, os.makedev(1, 5))
    except PermissionError:  # only root makes device files; who may not has none in its workspace
        return
    assert [one["reason"] for one in disk.save().receipt["skipped"]] == ["device"]


def test_paths_that_the_system_cannot_open_at_once_are_named(disk: SessionDisk) -> None:
    """4 KB and more: each folder is entered from the one before."""
    at = os.open(disk.workspace, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=at)
        at, before = os.open("d" * 200, os.O_RDONLY, dir_fd=at), at
        os.close(before)
    os.close(os.open("deep", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    receipt = disk.save().receipt
    assert [one["reason"] for one in receipt["skipped"]] == ["too_long"]
    there = disk.another("there")
    there.restore(disk.head)
    deepest = max((entry.path for entry in disk.manifest().entries("workspace")), key=len)
    assert 3800 < len(deepest) <= 4095


def test_deep_trees_that_are_in_the_way_are_taken_away(disk: SessionDisk) -> None:
    (disk.workspace / "d").write_text("a file now")
    disk.save()
    there = disk.another("there")
    at = os.open(there.workspace, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=at)
        at, before = os.open("d", os.O_RDONLY, dir_fd=at), at
        os.close(before)
    os.close(at)
    there.restore(disk.head)
    assert (there.workspace / "d").read_text() == "a file now"
    assert os.listdir(there.workspace) == ["d"]

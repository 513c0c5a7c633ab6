"""Files that change, move or go away while they are being saved."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from tests.integration.executor.snapshotter.session_disk import SessionDisk
from tests.integration.executor.snapshotter.trees import look


def test_a_file_that_changes_while_it_is_read_is_noticed_and_read_again(
    disk: SessionDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = disk.workspace / "busy"
    path.write_text("a" * 100)
    real, changes = os.pread, iter(["b" * 100, "c" * 50])

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        data = real(descriptor, size, offset)
        for change in changes:
            path.write_text(change)
            break
        return data

    monkeypatch.setattr(os, "pread", pread)
    receipt = disk.save().receipt
    assert receipt["skipped"] == []
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    assert (fresh.workspace / "busy").read_text() == "c" * 50


def while_reading(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Do this once, when the first file is read and all others were seen only."""
    real, changes = os.pread, iter([change])

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        for each in changes:
            each()
        return real(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", pread)


def test_a_folder_that_is_renamed_before_it_is_read_is_looked_for_again(
    disk: SessionDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (disk.workspace / "a").write_text("is read before")
    folder = disk.workspace / "old"
    folder.mkdir()
    (folder / "file").write_text("precious")
    while_reading(monkeypatch, lambda: folder.rename(disk.workspace / "new"))
    disk.save()
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    assert look(fresh.workspace) == look(disk.workspace)


@pytest.mark.parametrize("what", ["removed", "replaced", "a folder now"])
def test_other_names_of_a_file_that_goes_before_it_is_read_keep_its_content(
    disk: SessionDisk, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    first, other, another = (disk.workspace / name for name in ("b", "c", "d"))
    (disk.workspace / "a").write_text("is read before")
    first.write_text("precious")
    other.hardlink_to(first)
    another.hardlink_to(first)

    def change() -> None:
        first.unlink()
        if what == "replaced":
            first.write_text("new")
        elif what == "a folder now":
            first.mkdir()

    while_reading(monkeypatch, change)
    disk.save()
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    assert [(fresh.workspace / name).read_text() for name in ("c", "d")] == ["precious"] * 2
    assert what != "replaced" or (fresh.workspace / "b").read_text() == "new"
    disk.save()
    again = disk.another("again")
    again.restore(disk.head)
    assert look(again.workspace) == look(disk.workspace)


def test_a_file_that_never_stands_still_is_saved_as_it_was_read_and_named(disk: SessionDisk) -> None:
    path = disk.workspace / "log"
    path.write_text("line\n")
    ended = threading.Event()

    def write() -> None:
        with path.open("a") as file:
            while not ended.is_set():
                file.write("line\n")
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        named = False
        for _ in range(200):
            named = named or any(one["reason"] == "changing" for one in disk.save().receipt["skipped"])
            if named:
                break
    finally:
        ended.set()
        writer.join()
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    assert (fresh.workspace / "log").read_text().startswith("line\n")
    disk.save()
    again = disk.another("again")
    again.restore(disk.head)
    assert (again.workspace / "log").read_text() == path.read_text()

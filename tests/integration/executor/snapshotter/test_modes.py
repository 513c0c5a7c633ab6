"""Files and folders whose owner took the right to look into them from himself."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

import pytest

from executor.snapshotter import save, scan
from executor.snapshotter.paths import open_below
from executor.snapshotter.stable_read import read_small
from executor.snapshotter.staging import Staging
from tests.integration.executor.snapshotter.privileges import bound_by_modes
from tests.integration.executor.snapshotter.session_disk import SessionDisk


@pytest.fixture(autouse=True)
def without_privileges() -> Iterator[None]:
    with bound_by_modes():
        yield


@pytest.mark.parametrize("mode", [0o644, 0o400, 0o311, 0])
def test_beside_an_agent_a_closed_folder_stays_closed_and_all_else_is_saved(disk: SessionDisk, mode: int) -> None:
    closed = disk.workspace / "closed"
    closed.mkdir()
    (closed / "inside").touch()
    (disk.workspace / "open").touch()
    closed.chmod(mode)
    skipped = disk.save(at_rest=False).receipt["skipped"]
    assert [(one["path"], one["reason"]) for one in skipped] == [("closed", "unreadable")]
    assert {entry.path for entry in disk.manifest().entries("workspace")} == {"closed", "open"}


@pytest.mark.parametrize("folder", [b"", b"folder"])
@pytest.mark.parametrize("number", [errno.ENFILE, errno.ENOMEM, errno.EIO])
def test_a_folder_that_cannot_be_opened_now_is_not_saved_as_empty(
    disk: SessionDisk, folder: bytes, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (disk.workspace / "folder").mkdir()
    (disk.workspace / "folder" / "precious").touch()

    def refused(root: int, path: bytes, flags: int) -> int:
        if path == folder:
            raise OSError(number, os.strerror(number))
        return open_below(root, path, flags)

    monkeypatch.setattr(scan, "open_below", refused)
    with pytest.raises(OSError, match=os.strerror(number)):
        disk.save()


@pytest.mark.parametrize("mode", [0o500, 0o311, 0])
def test_a_place_can_be_restored_again_whatever_its_folders_modes_are(disk: SessionDisk, mode: int) -> None:
    """As it is after a restore that did not come to its end."""
    closed = disk.workspace / "closed"
    (closed / "inside").mkdir(parents=True)
    closed.chmod(mode)
    disk.save()
    fresh = disk.another("fresh")
    for _ in range(2):
        fresh.restore(disk.head)
        assert stat.S_IMODE((fresh.workspace / "closed").stat().st_mode) == mode


def test_a_restore_that_is_undone_closes_the_folders_that_it_opened(
    disk: SessionDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (disk.workspace / "closed" / "inside").mkdir(parents=True)
    disk.save()
    fresh = disk.another("fresh")
    (fresh.workspace / "closed").mkdir(mode=0o311)

    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Staging, "_open_new_folders", full)
    with pytest.raises(OSError, match="No space"):
        fresh.restore(disk.head)
    assert stat.S_IMODE((fresh.workspace / "closed").stat().st_mode) == 0o311


@pytest.mark.parametrize("mode", [0o644, 0o400, 0o311, 0])
def test_at_rest_a_closed_folder_is_saved_and_stays_closed(disk: SessionDisk, mode: int) -> None:
    for folder in ("closed/inner", "closed/inner/innermost"):
        (disk.workspace / folder).mkdir(parents=True)
        (disk.workspace / folder / "precious").write_text(folder)
    for folder in ("closed/inner", "closed"):
        (disk.workspace / folder).chmod(mode)
    assert disk.save().receipt["skipped"] == []
    assert stat.S_IMODE((disk.workspace / "closed").stat().st_mode) == mode
    saved = {entry.path: entry for entry in disk.manifest().entries("workspace")}
    assert {"closed/inner/precious", "closed/inner/innermost/precious"} <= saved.keys()
    assert [saved[path].mode for path in ("closed", "closed/inner")] == [mode, mode]  # type: ignore[union-attr]


def test_at_rest_a_closed_file_is_saved_and_stays_closed(disk: SessionDisk) -> None:
    closed = disk.workspace / "closed"
    closed.write_text("precious")
    closed.chmod(0)
    assert disk.save().receipt["unreadable"] == 0
    assert stat.S_IMODE(closed.stat().st_mode) == 0
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    assert stat.S_IMODE((fresh.workspace / "closed").stat().st_mode) == 0
    (fresh.workspace / "closed").chmod(0o400)
    assert (fresh.workspace / "closed").read_text() == "precious"
    assert disk.save().receipt["unchanged"]


def test_what_cannot_be_read_any_more_stays_as_it_was_saved_and_is_counted(
    disk: SessionDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bad", "good"):
        (disk.workspace / name).write_text("before")
    disk.save()
    for name in ("bad", "good"):
        (disk.workspace / name).write_text("afterwards")
    bad = (disk.workspace / "bad").stat().st_ino

    def read(descriptor: int) -> object:
        if os.fstat(descriptor).st_ino == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read_small(descriptor)

    monkeypatch.setattr(save, "read_small", read)
    receipt = disk.save().receipt
    assert receipt["unreadable"] == 1
    assert [(one["path"], one["reason"]) for one in receipt["skipped"]] == [("bad", "unreadable")]
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    assert (fresh.workspace / "bad").read_text() == "before"
    assert (fresh.workspace / "good").read_text() == "afterwards"

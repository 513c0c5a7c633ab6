"""Objects that are gone, a store that fails, a disk that is full: a clean failure, and what was there stays."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import pytest

from executor.snapshotter import transfer
from executor.snapshotter.protocol import SnapshotterFailed
from executor.snapshotter.transfer import ObjectDamaged, StoreFailed
from schema.errors import RunyardError
from tests.integration.executor.snapshotter.session_disk import ALL, SessionDisk, used_disk
from tests.integration.executor.snapshotter.trees import look


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(transfer, "LONGEST_PAUSE_SECONDS", 0.01)


def test_an_object_that_is_gone_is_said_to_be(saved: SessionDisk) -> None:
    there = used_disk(saved)
    before = look(there.workspace)
    del saved.objects.stored[next(key for key in saved.objects.stored if "/packs/" in key)]
    with pytest.raises(ObjectDamaged) as failed:
        there.restore(saved.head)
    assert failed.value.problem_code == "object_missing"
    assert look(there.workspace) == before


@pytest.mark.parametrize("status", [503, 429, 500, 403, 0], ids=["503", "429", "500", "expired link", "reset"])
def test_what_fails_now_and_then_is_tried_again(saved: SessionDisk, status: int) -> None:
    calls = iter(range(1000))
    saved.objects.hurt = lambda _method, _key: status if next(calls) % 3 < 2 else None
    (saved.workspace / "more").write_bytes(os.urandom(3 << 20))
    saved.save()
    there = saved.another("there")
    there.restore(saved.head)
    assert look(there.workspace) == look(saved.workspace)


@pytest.mark.parametrize("code", ["RequestTimeout", "ExpiredToken", "RequestTimeTooSkewed"])
def test_a_refusal_that_passes_is_tried_again_within_a_save(saved: SessionDisk, code: str) -> None:
    calls = iter(range(1000))
    saved.objects.hurt = lambda _method, _key: 400 if next(calls) % 3 < 2 else None
    saved.objects.refusal = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>later</Message></Error>"
    (saved.workspace / "more").write_bytes(os.urandom(3 << 20))
    saved.save()
    there = saved.another("there")
    there.restore(saved.head)
    assert look(there.workspace) == look(saved.workspace)


def test_a_refusal_that_stays_is_named_and_not_repeated(saved: SessionDisk) -> None:
    saved.objects.hurt = lambda _method, _key: 400
    saved.objects.refusal = "<Error><Code>InvalidArgument</Code></Error>"
    (saved.workspace / "more").write_bytes(b"more")
    saved.objects.calls.clear()
    with pytest.raises(StoreFailed, match=r"400 \(InvalidArgument\)"):
        saved.save()
    assert len(saved.objects.calls) == 1


def test_a_store_that_is_down_fails_a_save_and_the_next_one_makes_up_for_it(saved: SessionDisk) -> None:
    (saved.workspace / "more").write_bytes(os.urandom(20 << 20))
    saved.objects.hurt = lambda _method, _key: 503
    head = saved.head
    with pytest.raises(StoreFailed):
        saved.save()
    assert saved.head == head
    saved.objects.hurt = lambda _method, _key: None
    saved.save()
    there = saved.another("there")
    there.restore(saved.head)
    assert look(there.workspace) == look(saved.workspace)


def test_a_store_that_takes_an_upload_slowly_gets_it(disk: SessionDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """No second passes in which nothing is taken, and all of it takes several."""
    monkeypatch.setattr(transfer, "TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr(transfer, "TRIES", 1)
    disk.objects.bytes_a_second = 4 << 20
    content = os.urandom(10 << 20)
    (disk.workspace / "large").write_bytes(content)
    disk.save()
    fresh = disk.another("fresh")
    fresh.restore(disk.head)
    assert (fresh.workspace / "large").read_bytes() == content


def test_a_store_that_refuses_is_not_asked_again_and_again(saved: SessionDisk) -> None:
    (saved.workspace / "more").write_text("more")
    saved.objects.hurt = lambda _method, _key: 400
    calls = len(saved.objects.calls)
    with pytest.raises(StoreFailed):
        saved.save()
    assert len(saved.objects.calls) == calls + 1


def test_a_save_killed_before_its_manifest_leaves_the_old_snapshot_whole(saved: SessionDisk) -> None:
    old, before = saved.head, look(saved.workspace)
    (saved.workspace / "more").write_text("more")
    saved.objects.hurt = lambda _method, key: 400 if "/snapshots/" in key else None
    with pytest.raises(StoreFailed):
        saved.save()
    saved.objects.hurt = lambda _method, _key: None
    there = saved.another("there")
    there.restore(old)
    assert look(there.workspace) == before


def test_a_snapshot_that_does_not_fit_is_refused_before_anything_is_written(
    saved: SessionDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = used_disk(saved)
    before = look(there.workspace)
    monkeypatch.setattr("executor.snapshotter.restore.free_bytes", lambda _: 1000)
    with pytest.raises(SnapshotterFailed) as failed:
        there.restore(saved.head)
    assert failed.value.problem_code == "disk_full"
    assert look(there.workspace) == before


def test_what_cannot_be_moved_into_place_is_moved_back(saved: SessionDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    there = used_disk(saved)
    before = look(there.workspace), look(there.home)
    real, moves = os.rename, iter(range(1000))

    def rename(*arguments: object, **folders: int) -> None:
        if next(moves) == 2:
            raise OSError(5, "the disk broke")
        real(*arguments, **folders)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(OSError, match="the disk broke"):
        there.restore(saved.head)
    assert (look(there.workspace), look(there.home)) == before


def test_wherever_a_restore_breaks_both_roots_are_as_before(
    saved: SessionDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (saved.workspace / "folder", saved.home / "kept"):
        folder.mkdir(exist_ok=True)
        (folder / "saved").write_text("saved")
    saved.save()
    there = used_disk(saved)
    (there.home / "kept").mkdir()
    (there.home / "kept" / "saved").write_text("what was there")
    before = look(there.workspace), look(there.home)
    real, broken_moves, moves = os.rename, 0, 0

    def rename(name: bytes, other: bytes, **folders: int) -> None:
        nonlocal moves
        if not other.startswith(b"gone"):  # these clear up
            moves += 1
            if moves == broken_moves:
                raise OSError(5, "the disk broke")
        real(name, other, **folders)

    monkeypatch.setattr(os, "rename", rename)
    while moves >= broken_moves:
        moves, broken_moves = 0, broken_moves + 1
        with suppress(OSError):
            there.restore(saved.head)
        if moves >= broken_moves:
            assert (look(there.workspace), look(there.home)) == before
    assert broken_moves > 4


def test_a_restore_over_what_is_there_replaces_the_same_paths_only(saved: SessionDisk) -> None:
    there = used_disk(saved)
    (there.workspace / "large").mkdir()
    (there.workspace / "large" / "inside").write_text("gone")
    there.restore(saved.head)
    assert (there.workspace / "own").read_text() == "own"
    (there.workspace / "own").unlink()
    assert look(there.workspace) == look(saved.workspace)


def plan(*entries: dict[str, str]) -> dict[str, object]:
    return {"layers": [*ALL["layers"], {"layer": "L4", "entries": list(entries)}]}


EMPTY = hashlib.sha256(b"").hexdigest()
BLOCKED = {
    "a folder below a file": {"path": "own/file", "action": "mkdir", "reason": "mount_point"},
    "a file for a folder": {"path": "mine", "action": "write", "reason": "overwrite_with_seed", "digest": EMPTY},
    "what stays, for a saved file": {"path": "large/inside", "action": "keep", "reason": "in_place"},
}


@pytest.mark.parametrize("step", BLOCKED)
def test_what_is_in_the_way_and_nobody_gave_up_is_not_replaced(saved: SessionDisk, step: str) -> None:
    there = used_disk(saved)
    for folder in ("mine", "large"):
        (there.workspace / folder).mkdir()
        (there.workspace / folder / "inside").write_text("somebody's")
    before = look(there.workspace)
    with pytest.raises(SnapshotterFailed) as failed:
        there.restore(saved.head, {**plan({"root": "workspace", **BLOCKED[step]}), "contents": {EMPTY: ""}})
    assert failed.value.problem_code == "path_blocked"
    assert look(there.workspace) == before


@pytest.mark.parametrize(
    "entry",
    [
        {"path": "../x"},
        {"path": "/etc/x"},
        {"path": "a/../../x"},
        {"path": "x", "mode": "4755"},
        {"path": "x", "digest": "0" * 64},
        {"path": "x\0"},
    ],
)
def test_a_plan_that_is_none_is_refused(disk: SessionDisk, entry: dict[str, str], tmp_path: Path) -> None:
    step = {"root": "workspace", "action": "write", "reason": "seed", "digest": "1" * 64, "mode": "644", **entry}
    with pytest.raises(RunyardError) as failed:
        disk.restore(None, plan(step))
    assert failed.value.problem_code == "bad_plan"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["home", "place", "workspace"]

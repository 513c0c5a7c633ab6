"""Kept ends leave room to others, and none is kept twice."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import namedtuple
from pathlib import Path
from uuid import uuid4

import pytest

from executor.process.account import AgentAccount
from executor.workspaces.end_keeper import EndKeeper
from executor.workspaces.home_filter import HomeFilter
from executor.workspaces.kept_ends import MOST_BYTES, RESERVED_BYTES, KeptEnds, UnsavedRun
from executor.workspaces.snapshotter_process import SnapshotterResult

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    "free, room",
    [(0, 0), (RESERVED_BYTES, 0), (RESERVED_BYTES + 1000, 500), (MOST_BYTES * 10, MOST_BYTES)],
)
def test_ends_leave_a_part_of_the_disk_to_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, room: int
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(MOST_BYTES * 10, 0, free))
    assert KeptEnds(tmp_path).room() == room


@pytest.mark.parametrize("is_saved_meanwhile", [False, True])
def test_an_end_that_a_save_read_meanwhile_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, is_saved_meanwhile: bool
) -> None:
    keeper = EndKeeper(
        uuid4(), roots={}, state_dir=tmp_path, account=AgentAccount(), home_filter=HomeFilter, current=lambda: None
    )
    run = UnsavedRun(uuid4(), [])
    keeper.ends.begin(run)

    async def read_end(_run: UnsavedRun) -> SnapshotterResult:
        os.close(keeper.ends.open_new())
        if is_saved_meanwhile:
            keeper.ends.forget_unsaved(run)
        return SnapshotterResult(receipt={})

    monkeypatch.setattr(keeper, "_read_end", read_end)
    assert asyncio.run(keeper.keep(run)) is None
    assert [keeper.ends.oldest is None, keeper.ends.unsaved] == [is_saved_meanwhile, None]
    assert len(os.listdir(tmp_path / "run-ends")) == (0 if is_saved_meanwhile else 1)

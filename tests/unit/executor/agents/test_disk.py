"""What a workspace takes on the disk, whatever it is made of, and the turn that ends when it is too much."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

import executor.agents.disk
from executor.agents.disk import ENDLESS, disk_is_full, measure
from executor.agents.turn import Turn
from tests.start_runs import start_run

MEBIBYTE = 1024 * 1024


@pytest.fixture
def turn(tmp_path: Path) -> Turn:
    for name in ("workspace", "home"):
        (tmp_path / name).mkdir()
    return Turn(
        run=start_run(),
        workspace=tmp_path / "workspace",
        home=tmp_path / "home",
        disk_bytes=8 * MEBIBYTE,
    )


def write(file: Path, size: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(os.urandom(size))


def test_both_roots_count_and_a_file_of_two_names_counts_once(turn: Turn) -> None:
    write(turn.workspace / "a/b/one", MEBIBYTE)
    write(turn.home / "two", MEBIBYTE)
    (turn.home / "again").hardlink_to(turn.workspace / "a/b/one")
    assert 2 * MEBIBYTE <= measure(turn) < 2.5 * MEBIBYTE


def test_holes_and_links_out_of_it_take_nothing(turn: Turn) -> None:
    with (turn.workspace / "sparse").open("wb") as file:
        file.truncate(100 * MEBIBYTE)
    (turn.workspace / "out").symlink_to("/usr")
    assert measure(turn) < MEBIBYTE


def test_a_tree_too_deep_to_be_named_is_endless(turn: Turn) -> None:
    folder = os.open(turn.workspace, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=folder)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    assert measure(turn) >= ENDLESS


def test_a_workspace_that_grows_beyond_its_limit_is_noticed(turn: Turn, monkeypatch: pytest.MonkeyPatch) -> None:
    # Others free room on this disk meanwhile, so that it may be measured late.
    monkeypatch.setattr(executor.agents.disk, "MEASURE_SECONDS", 1.0)

    async def grow() -> None:
        watching = asyncio.create_task(disk_is_full(turn))
        await asyncio.sleep(0)
        for number in range(5):
            write(turn.workspace / str(number), 2 * MEBIBYTE)
        os.sync()
        await asyncio.wait_for(watching, 60)

    asyncio.run(grow())


def test_one_that_begins_over_its_limit_may_go_on_while_it_hardly_grows(turn: Turn) -> None:
    write(turn.workspace / "large", 9 * MEBIBYTE)

    async def stay() -> bool:
        watching = asyncio.create_task(disk_is_full(turn))
        await asyncio.sleep(0)
        write(turn.home / "conversation", MEBIBYTE // 4)
        done, _ = await asyncio.wait({watching}, timeout=2)
        watching.cancel()
        return bool(done)

    assert asyncio.run(stay()) is False

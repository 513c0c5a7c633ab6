"""A search in the texts of a live workspace is bounded, reads through no link, and waits on nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from executor.workspaces.find_text import find_text
from schema.live_files import LiveSearchQuery
from schema.text_search import MOST_FILE_BYTES

NOBODY = 65534
NEEDLE = LiveSearchQuery(text="Needle", in_text=True)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("needle outside")
    workspace = tmp_path / "workspace"
    (workspace / "folder").mkdir(parents=True)
    (workspace / "folder" / "deep.txt").write_text("one\na needle here\n")
    (workspace / "needle.txt").write_text("nothing")
    (workspace / "link").symlink_to(tmp_path / "outside")
    (workspace / "file-link").symlink_to(tmp_path / "outside" / "file")
    os.mkfifo(workspace / "fifo")
    return workspace


def test_files_are_found_by_their_text_with_the_lines(workspace: Path) -> None:
    found = find_text(workspace, NEEDLE)
    assert not found.is_partial
    [item] = found.items
    assert item.path == "folder/deep.txt"
    assert [(match.line, match.text) for match in item.matches or []] == [(2, "a needle here")]


def test_a_search_ends_at_its_bounds_and_says_so(workspace: Path) -> None:
    for number in range(20):
        (workspace / f"{number}.txt").write_text("needle" + "x" * 1000)
    few = find_text(workspace, LiveSearchQuery(text="needle", in_text=True, limit=5))
    assert (len(few.items), few.is_partial) == (5, True)
    assert find_text(workspace, NEEDLE, seconds=0).is_partial
    some = find_text(workspace, NEEDLE, most_bytes=5000)
    assert 0 < len(some.items) < 10
    assert some.is_partial
    assert not find_text(workspace, NEEDLE).is_partial


def test_a_long_file_is_left_out_and_that_is_said(workspace: Path) -> None:
    (workspace / "long.txt").write_bytes(b"needle" + b"x" * MOST_FILE_BYTES)
    found = find_text(workspace, NEEDLE)
    assert ([item.path for item in found.items], found.is_partial) == (["folder/deep.txt"], True)


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder with one that is closed, while this process is not root, who reads everything."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "closed").mkdir(mode=0)
        (Path(name) / "open.txt").write_text("a needle here")
        root = os.geteuid() == 0
        if root:
            os.seteuid(NOBODY)
        yield Path(name)
        if root:
            os.seteuid(0)


def test_a_folder_that_the_agent_may_not_read_hides_no_other(as_nobody: Path) -> None:
    assert [item.path for item in find_text(as_nobody, NEEDLE).items] == ["open.txt"]

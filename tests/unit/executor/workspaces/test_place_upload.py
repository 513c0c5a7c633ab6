"""Uploads are written whole, once, and never outside of the workspace."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

import pytest

from executor.workspaces.place_upload import place_upload
from schema.errors import RunyardError
from tests.thoroughness import times

AT_FDCWD, RENAME_EXCHANGE = -100, 2


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    return workspace


def exchange(one: Path, other: Path) -> None:
    """Swap both names at once (renameat2 with RENAME_EXCHANGE)."""
    failed = ctypes.CDLL(None).renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    assert not failed


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_upload_is_placed_once_and_an_agents_file_stays(workspace: Path) -> None:
    assert place_upload(workspace, "uploads/1/a", b"first").written
    (workspace / "uploads" / "1" / "a").write_text("changed by the agent")
    assert not place_upload(workspace, "uploads/1/a", b"first").written
    assert (workspace / "uploads" / "1" / "a").read_text() == "changed by the agent"
    assert files_of(workspace) == ["uploads/1/a"]


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", "a\x00b", ".runyard-restore/x"])
def test_paths_that_lead_outside_are_refused(workspace: Path, path: str) -> None:
    with pytest.raises(RunyardError) as refused:
        place_upload(workspace, path, b"x")
    assert refused.value.problem_code == "bad_path"
    assert files_of(workspace.parent) == []


def test_a_file_where_the_folder_belongs_is_refused_and_stays(workspace: Path) -> None:
    (workspace / "uploads").write_text("the agent's")
    with pytest.raises(RunyardError) as refused:
        place_upload(workspace, "uploads/1/a", b"x")
    assert refused.value.problem_code == "path_blocked"
    assert (workspace / "uploads").read_text() == "the agent's"


def test_a_link_swapped_in_leads_no_upload_outside(workspace: Path) -> None:
    folder, link = workspace / "uploads", workspace / "link"
    folder.mkdir()
    link.symlink_to(workspace.parent / "outside")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            exchange(folder, link)

    swapper = threading.Thread(target=swap)
    swapper.start()
    codes: set[str] = set()
    try:
        for number in range(times(2_000, 100_000)):
            try:
                place_upload(workspace, f"uploads/{number}/a", b"x")
            except (RunyardError, OSError) as error:
                codes.add(getattr(error, "problem_code", type(error).__name__))
    finally:
        stop.set()
        swapper.join()
    assert list((workspace.parent / "outside").iterdir()) == []
    assert codes <= {"path_blocked", "FileNotFoundError"}
    assert len(files_of(workspace)) + len(files_of(link)) > 0

"""The live workspace while somebody swaps links into it: no read leaves it, and none hangs."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from executor.workspaces.live_files import find_names, list_folder, read_head
from schema.errors import RunyardError
from schema.live_files import LiveFolderQuery, LiveHeadQuery, LiveSearchQuery
from tests.thoroughness import times

SECRET = "outside the workspace"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text(SECRET)
    workspace = tmp_path / "workspace"
    (workspace / "folder").mkdir(parents=True)
    (workspace / "folder" / "file").write_text("inside")
    (workspace / "link").symlink_to(tmp_path / "outside")
    (workspace / "file").write_text("inside")
    (workspace / "file-link").symlink_to(tmp_path / "outside" / "file")
    return workspace


@contextmanager
def swapping(workspace: Path, *names: str) -> Iterator[None]:
    """Swap the first two names as fast as possible until the block ends."""
    one, other, spare = (workspace / name for name in (*names, "spare"))
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            one.rename(spare)
            other.rename(one)
            spare.rename(other)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        yield
    finally:
        stop.set()
        swapper.join()


@pytest.mark.parametrize(
    ("names", "path"), [(("folder", "link"), "folder/file"), (("file", "file-link"), "file")], ids=["folder", "file"]
)
def test_a_link_swapped_in_leads_no_read_outside(workspace: Path, names: tuple[str, str], path: str) -> None:
    seen = set()
    with swapping(workspace, *names):
        for _ in range(times(3_000, 100_000)):
            try:
                head = read_head(workspace, LiveHeadQuery(path=path, most=100))
            except RunyardError as error:
                seen.add(error.problem_code)
            else:
                seen.add(base64.b64decode(head.head).decode())
    assert "inside" in seen
    assert seen <= {"inside", "unknown_path", "not_a_file"}


def test_a_link_swapped_in_leads_no_listing_outside(workspace: Path) -> None:
    (workspace / "folder" / "mine").touch()
    (workspace.parent / "outside" / "theirs").touch()
    with swapping(workspace, "folder", "link"):
        for _ in range(times(1_000, 50_000)):
            try:
                names = [item.path for item in list_folder(workspace, LiveFolderQuery(path="folder")).items]
            except RunyardError as error:
                assert error.problem_code == "unknown_path"  # noqa: PT017  either outcome is right
            else:
                assert "folder/theirs" not in names
            assert find_names(workspace, LiveSearchQuery(text="theirs")).items == []


def test_a_search_ends_at_its_limit_and_its_time(workspace: Path) -> None:
    for number in range(50):
        (workspace / f"many-{number}").touch()
    found = find_names(workspace, LiveSearchQuery(text="many", limit=10))
    assert (len(found.items), found.is_partial) == (10, True)
    assert find_names(workspace, LiveSearchQuery(text="many"), seconds=-1).is_partial

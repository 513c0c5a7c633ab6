"""A path that an agent names is told relative to the root below which it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.agents.agent_folders import AgentFolders

FOLDERS = AgentFolders(Path("/data/workspace"), Path("/data/home"), Path("/data/workspace/src"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/workspace/a.md", ("workspace", "a.md")),
        ("main.py", ("workspace", "src/main.py")),
        ("../a.md", ("workspace", "a.md")),
        ("/data/workspace", ("workspace", ".")),
        ("file:///data/workspace/a%20b.md", ("workspace", "a b.md")),
        ("~/.config/x", ("agent", ".config/x")),
        ("/data/home/x", ("agent", "x")),
        ("/data/workspace2/a.md", None),
        ("../../secret", None),
        ("/etc/hosts", None),
        ("", None),
        (5, None),
    ],
)
def test_a_path_is_placed_below_its_root_or_left_as_it_is(path: object, expected: tuple[str, str] | None) -> None:
    [entry] = FOLDERS.placed([{"path": path, "line": 3}])
    assert (entry["path"], entry["line"]) == (path, 3)
    assert (("root" in entry) and (entry["root"], entry["relativePath"])) == (expected or False)


def test_the_working_folder_is_relative_to_the_workspace() -> None:
    assert FOLDERS.relative_cwd == "src"
    assert AgentFolders(Path("/w"), Path("/h"), Path("/w")).relative_cwd == "."


def test_only_paths_through_links_are_told_where_they_lead(tmp_path: Path) -> None:
    for name in ("workspace/src", "home", "outside"):
        (tmp_path / name).mkdir(parents=True)
    workspace = tmp_path / "workspace"
    (workspace / "src" / "link").symlink_to(tmp_path / "outside")
    folders = AgentFolders(workspace, tmp_path / "home", workspace)
    texts = ["src/link/key", f"{workspace}/src/link", "src/plain", "no path at all", "a\nb", "a\0b", "", "x" * 5000]
    assert folders.led_elsewhere(texts) == [f"{tmp_path}/outside/key", f"{tmp_path}/outside"]

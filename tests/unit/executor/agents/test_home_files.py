"""Nothing is written through a link that an agent left in its home, at whatever level and wherever it leads."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.agents.home_files import LINKED, replace_home_file, write_home_file
from executor.agents.launch import prepare_home
from executor.agents.roots import HOME_FOLDERS, link_agent_data

FILE = ".config/agent/deep/settings.json"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("linked", [".config", ".config/agent", ".config/agent/deep"])
@pytest.mark.parametrize("leads", ["outside", "nowhere", "inside", "up"])
def test_a_link_at_any_level_is_named_and_nothing_is_written_behind_it(
    home: Path, outside: Path, linked: str, leads: str
) -> None:
    (home / "inside").mkdir()
    target = {"outside": outside, "nowhere": outside / "missing", "inside": home / "inside", "up": Path("..")}[leads]
    link = home / linked
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)

    with pytest.raises(OSError, match=LINKED) as refused:
        prepare_home(home, {FILE: b"a key"})

    assert refused.value.filename == str(link)
    assert link.is_symlink()
    assert [list(folder.iterdir()) for folder in (outside, home / "inside")] == [[], []]
    assert not [path for path in home.parent.rglob("*") if path.is_file()]


@pytest.mark.parametrize("leads", ["there", "nowhere"])
def test_a_link_in_place_of_the_file_is_replaced(home: Path, outside: Path, leads: str) -> None:
    target = outside / leads
    (outside / "there").write_text("kept")
    (home / ".config").mkdir()
    (home / ".config/key").symlink_to(target)

    write_home_file(home, ".config/key", b"a key")

    assert not (home / ".config/key").is_symlink()
    assert ((home / ".config/key").read_bytes(), (home / ".config/key").stat().st_mode & 0o777) == (b"a key", 0o600)
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"there": "kept"}


@pytest.mark.parametrize("path", ["../key", ".config/../../key"])
def test_a_path_that_leaves_the_home_is_refused(home: Path, path: str) -> None:
    with pytest.raises(OSError):
        write_home_file(home, path, b"a key")
    assert not (home.parent / "key").exists()


def test_a_link_in_place_of_the_home_is_refused(tmp_path: Path, outside: Path) -> None:
    home = tmp_path / "linked-home"
    home.symlink_to(outside)
    with pytest.raises(OSError, match=LINKED) as refused:
        prepare_home(home, {"key": b"a key"})
    assert refused.value.filename == str(home)
    assert list(outside.iterdir()) == []


def test_no_folder_that_agents_rely_on_is_made_behind_a_link(home: Path, outside: Path) -> None:
    (home / ".local").symlink_to(outside)
    (home / ".config").symlink_to(outside / "missing")
    link_agent_data(home)
    assert list(outside.iterdir()) == []
    assert (home / ".cache").is_dir()
    assert set(HOME_FOLDERS) >= {".local/share", ".config", ".cache"}


def test_a_file_is_replaced_at_once_and_a_link_that_has_its_name_is_not_followed(home: Path, outside: Path) -> None:
    (outside / "kept").write_text("kept")
    for name in ("costs.json", "costs.json.new"):
        (home / name).symlink_to(outside / "kept")

    replace_home_file(home, "costs.json", b"{}")

    assert [(path.name, path.is_symlink(), path.read_bytes()) for path in home.iterdir()] == [
        ("costs.json", False, b"{}")
    ]
    assert (outside / "kept").read_text() == "kept"

"""What `.runyard/` holds: made once, private, and kept."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cli.local import data_dir as data_dir_module
from cli.local.data_dir import DataDir, find_data_dir, make_alive_file_path, make_data_dir, remove_runtime_files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_private_and_stay_the_same(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "data")
    make_data_dir(data_dir)
    token, key = data_dir.token.read_text(), data_dir.secret.read_text()
    make_data_dir(data_dir)
    assert (data_dir.token.read_text(), data_dir.secret.read_text()) == (token, key)
    assert mode(data_dir.token) == mode(data_dir.secret) == 0o600
    assert len(bytes.fromhex(key)) == 32
    assert mode(data_dir.logs) == mode(data_dir.workers) == mode(data_dir.sockets) == 0o700
    data_dir.sockets.rmdir()


def test_mode_of_a_token_that_was_opened_to_others_is_closed_again(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "data")
    make_data_dir(data_dir)
    data_dir.token.chmod(0o644)
    make_data_dir(data_dir)
    assert mode(data_dir.token) == 0o600
    data_dir.sockets.rmdir()


def test_two_clones_never_share_sockets(tmp_path: Path) -> None:
    assert DataDir(tmp_path / "a").sockets != DataDir(tmp_path / "b").sockets


def test_data_can_live_elsewhere(tmp_path: Path) -> None:
    assert find_data_dir({"RUNYARD_DATA_DIR": str(tmp_path)}).root == tmp_path


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for the machine's memory."""
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setattr(data_dir_module, "MEMORY", memory)
    return memory


def test_the_alive_file_is_in_memory_private_of_one_clone_and_gone_at_the_end(tmp_path: Path, memory: Path) -> None:
    one, other = DataDir(tmp_path / "one"), DataDir(tmp_path / "other")
    file = make_alive_file_path(one, {})
    file.touch()
    assert file.parent.parent == memory
    assert mode(file.parent) == 0o700
    assert make_alive_file_path(other, {}) != file
    remove_runtime_files(one, {})
    assert list(memory.iterdir()) == [make_alive_file_path(other, {}).parent]


def test_the_alive_file_of_an_earlier_start_tells_nothing(tmp_path: Path, memory: Path) -> None:  # noqa: ARG001
    make_alive_file_path(DataDir(tmp_path), {}).touch()
    assert not make_alive_file_path(DataDir(tmp_path), {}).exists()


def test_the_alive_file_is_in_the_data_folder_where_no_memory_is_ours(tmp_path: Path, memory: Path) -> None:
    data_dir = DataDir(tmp_path)
    taken = memory / data_dir.sockets.name
    taken.mkdir()
    taken.chmod(0o777)
    assert make_alive_file_path(data_dir, {"XDG_RUNTIME_DIR": str(tmp_path / "missing")}).parent == tmp_path
    own = tmp_path / "run"
    own.mkdir()
    assert make_alive_file_path(data_dir, {"XDG_RUNTIME_DIR": str(own)}).parent.parent == own

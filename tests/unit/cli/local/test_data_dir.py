"""What `.runyard/` holds: made once, private, and kept."""

from __future__ import annotations

import stat
from pathlib import Path

from cli.local.data_dir import DataDir, find_data_dir, make_data_dir


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

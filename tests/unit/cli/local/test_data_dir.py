"""What `.runyard/` holds: made once, private, and kept."""

from __future__ import annotations

import stat
from pathlib import Path

from cli.local.data_dir import DataDir, find_places, make_places


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_private_and_stay_the_same(tmp_path: Path) -> None:
    places = DataDir(tmp_path / "data")
    make_places(places)
    token, key = places.token.read_text(), places.secret.read_text()
    make_places(places)
    assert (places.token.read_text(), places.secret.read_text()) == (token, key)
    assert mode(places.token) == mode(places.secret) == 0o600
    assert len(bytes.fromhex(key)) == 32
    assert mode(places.logs) == mode(places.workers) == mode(places.sockets) == 0o700
    places.sockets.rmdir()


def test_mode_of_a_token_that_was_opened_to_others_is_closed_again(tmp_path: Path) -> None:
    places = DataDir(tmp_path / "data")
    make_places(places)
    places.token.chmod(0o644)
    make_places(places)
    assert mode(places.token) == 0o600
    places.sockets.rmdir()


def test_two_clones_never_share_sockets(tmp_path: Path) -> None:
    assert DataDir(tmp_path / "a").sockets != DataDir(tmp_path / "b").sockets


def test_data_can_live_elsewhere(tmp_path: Path) -> None:
    assert find_places({"RUNYARD_DATA_DIR": str(tmp_path)}).root == tmp_path

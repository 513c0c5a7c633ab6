"""Files of a home that decide for an agent go out of use, come back, and are never lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.agents.codex_untrusted import untrusted
from executor.agents.failures import TurnFailed
from executor.agents.untrusted_files import MOST_SET_ASIDE, found_in_workspace, put_back, set_aside


def test_a_file_is_set_aside_and_comes_back(tmp_path: Path) -> None:
    rules = tmp_path / ".codex/rules/default.rules"
    rules.parent.mkdir(parents=True)
    rules.write_text("mine")
    (tmp_path / ".codex/config.toml").write_text("written anew at each start")

    moved = set_aside("codex", tmp_path)

    assert moved == ["~/.codex/rules"]
    assert not rules.exists()
    assert (tmp_path / ".codex/config.toml").exists()
    assert set_aside("codex", tmp_path) == []
    put_back("codex", tmp_path)
    assert rules.read_text() == "mine"


def test_the_newest_comes_back_and_no_newer_file_is_replaced(tmp_path: Path) -> None:
    for text in ("first", "second"):
        (tmp_path / ".bashrc").write_text(text)
        assert set_aside("opencode", tmp_path) == ["~/.bashrc"]

    put_back("opencode", tmp_path)

    assert (tmp_path / ".bashrc").read_text() == "second"
    assert (tmp_path / ".bashrc.set-aside-1").read_text() == "first"
    (tmp_path / ".bashrc").write_text("third")
    put_back("opencode", tmp_path)
    assert (tmp_path / ".bashrc").read_text() == "third"


def test_a_broken_link_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").symlink_to(tmp_path / "absent")

    assert set_aside("claude-code", tmp_path) == ["~/.bashrc"]
    assert not (tmp_path / ".bashrc").is_symlink()


def test_a_file_that_cannot_be_set_aside_blocks_the_run(tmp_path: Path) -> None:
    for number in range(1, MOST_SET_ASIDE + 1):
        (tmp_path / f".bashrc.set-aside-{number}").touch()
    (tmp_path / ".bashrc").write_text("touch mark")

    with pytest.raises(TurnFailed) as failed:
        set_aside("claude-code", tmp_path)

    assert failed.value.finished().status == "blocked"
    assert "~/.bashrc" in failed.value.message
    assert "trustWorkspace" in failed.value.message


def test_files_above_the_working_folder_are_found(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    for folder in (tmp_path, inner):
        (folder / ".mcp.json").write_text("{}")

    assert found_in_workspace("claude-code", inner, tmp_path) == ["inner/.mcp.json", ".mcp.json"]


def test_trust_is_taken_back_in_keys_and_not_in_words() -> None:
    message = b'{"params":{"config":{"projects":{"/w":{"trust_level":"trusted"}}}}}\n'
    words = rb'{"params":{"text":"say \"trust_level\":\"trusted\""}}'

    assert untrusted(message) == message.replace(b'"trusted"', b'"untrusted"')
    assert untrusted(words) == words

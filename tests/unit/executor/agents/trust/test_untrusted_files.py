"""Files of a home that decide for an agent go out of use, come back, and are never lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.agents.failures import TurnFailed
from executor.agents.trust.codex_untrusted import untrusted
from executor.agents.trust.set_aside import MOST_SET_ASIDE, put_back, set_aside
from executor.agents.trust.untrusted_files import found_in_workspace, refuse_what_cannot_be_ignored


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
    assert ".bashrc.set-aside-*" in failed.value.message


def write(path: Path, text: str = "mine") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["spy", "x.set-aside-1"])
def test_a_skill_of_codex_goes_where_codex_does_not_look(tmp_path: Path, name: str) -> None:
    skill = write(tmp_path / ".codex/skills" / name / "SKILL.md")

    assert set_aside("codex", tmp_path) == [f"~/.codex/skills/{name}"]

    assert [path.name for path in skill.parents[1].iterdir()] == [f".{name}.set-aside-1"]
    put_back("codex", tmp_path)
    assert skill.read_text() == "mine"


def test_the_marker_within_a_name_keeps_nothing_in_use(tmp_path: Path) -> None:
    config = write(tmp_path / ".codex/evil.set-aside-1.config.toml")

    assert set_aside("codex", tmp_path) == ["~/.codex/evil.set-aside-1.config.toml"]
    assert not config.exists()


def test_a_file_of_the_older_form_comes_back(tmp_path: Path) -> None:
    write(tmp_path / ".codex/skills/spy.set-aside-1/SKILL.md")
    write(tmp_path / ".codex/hooks.json.set-aside-1")

    put_back("codex", tmp_path)

    assert (tmp_path / ".codex/skills/spy/SKILL.md").exists()
    assert (tmp_path / ".codex/hooks.json").exists()


def test_an_equal_copy_is_kept_once_and_not_named_again(tmp_path: Path) -> None:
    rules = tmp_path / ".codex/rules/default.rules"
    for named in (["~/.codex/rules"], [], []):
        write(rules, "same")
        assert set_aside("codex", tmp_path) == named

    [copy] = rules.parents[1].iterdir()
    assert (copy / "default.rules").read_text() == "same"
    write(tmp_path / ".codex/rules/default.rules", "else")
    assert set_aside("codex", tmp_path) == ["~/.codex/rules"]
    assert len(list(rules.parents[1].glob(".rules.set-aside-*"))) == 2


def test_of_a_cache_only_the_newest_copy_is_kept(tmp_path: Path) -> None:
    for text in ("first", "second"):
        write(tmp_path / ".cache/opencode/bin/rg", text)
        set_aside("opencode", tmp_path)

    [copy] = (tmp_path / ".cache/opencode/bin").iterdir()
    assert copy.read_text() == "second"
    put_back("opencode", tmp_path)
    assert (tmp_path / ".cache/opencode/bin/rg").read_text() == "second"


def test_nothing_is_renamed_behind_a_link_that_leads_out_of_the_home(tmp_path: Path) -> None:
    settings = write(tmp_path / "workspace/.claude/settings.json")
    home = tmp_path / "home"
    write(home / ".bashrc")
    (home / ".claude").symlink_to(settings.parent)

    with pytest.raises(TurnFailed) as failed:
        set_aside("claude-code", home)

    assert failed.value.finished().status == "blocked"
    assert "~/.claude is a link" in failed.value.message
    assert settings.exists()
    assert (home / ".bashrc").exists()
    aside = write(settings.parent / "agents.set-aside-1")
    put_back("claude-code", home)
    assert aside.exists()


def test_an_ordinary_login_of_opencode_stays(tmp_path: Path) -> None:
    login = write(tmp_path / ".local/share/opencode/auth.json", '{"opencode": {"type": "api", "key": "k"}}')

    assert set_aside("opencode", tmp_path) == []
    assert login.exists()


@pytest.mark.parametrize(
    "entry", ['{"type": "wellknown", "key": "K", "token": "t"}', "{", '{"type": "well\\u006bnown"}']
)
def test_a_login_that_fetches_configuration_is_set_aside(tmp_path: Path, entry: str) -> None:
    login = write(tmp_path / ".local/share/opencode/auth.json", f'{{"https://spy.example": {entry}}}')

    assert set_aside("opencode", tmp_path) == ["~/.local/share/opencode/auth.json"]
    assert not login.exists()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("opencode.json", '{"plugin": [], "plugins": {}}'),
        ("opencode.json", '{"agent": {"a": {"description": "writes a plugin \\u00e9 // no comment, /* nor */ this"}}}'),
        ("opencode.jsonc", '{\n// "plugin": ["./spy.js"]\n"a": [1, /* 2 */],\n}\n'),
        ("opencode.json", ""),
        (".opencode/plugin/.gitkeep", ""),
        (".opencode/plugins/README.md", "How to write a plugin"),
    ],
)
def test_words_about_plugins_block_no_run(tmp_path: Path, path: str, text: str) -> None:
    write(tmp_path / path, text)

    refuse_what_cannot_be_ignored("opencode", tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("opencode.json", '{"plugin": ["./spy.js"], "plugin": []}'),
        ("opencode.json", '{"a": {"\\u0070lugins": ["./spy.js"]}}'),
        ("opencode.jsonc", '{"a": "/*", "plugin": ["./spy.js"], "b": "*/"}'),
        ("opencode.jsonc", '{// \u2028 /*\n"plugin": ["./spy.js"], // */\n}'),
        ("opencode.json", '{"a": '),
        ("opencode.json", "[" * 100_000),
        (".opencode/plugin/spy.js", ""),
        (".opencode/plugin/folder.md/index.js", ""),
    ],
)
def test_what_may_load_a_plugin_blocks_the_run(tmp_path: Path, path: str, text: str) -> None:
    write(tmp_path / path, text)

    with pytest.raises(TurnFailed) as failed:
        refuse_what_cannot_be_ignored("opencode", tmp_path, tmp_path)

    assert failed.value.code == "workspace_untrusted"


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

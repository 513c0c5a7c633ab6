"""What a typed line is: a prompt, the chat's own command, or an agent's; and editing by prompt_toolkit."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from cli.chat.prompt_line import command_in, prompt_in, prompt_reader

XTERM = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("text", "command"),
    [("/help", "help"), (" /Leave ", "leave"), ("/nonesuch", "nonesuch"), ("/etc/passwd", None), ("a /help", None)],
)
def test_a_word_with_a_slash_alone_is_a_command(text: str, command: str | None) -> None:
    assert command_in(text) == command


def test_two_slashes_send_an_agents_own_command() -> None:
    assert command_in("//compact") is None
    assert prompt_in("//compact") == "/compact"
    assert prompt_in("/etc/hosts: explain") == "/etc/hosts: explain"


def read(typed: str, history: Path) -> str:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text(typed)
        return prompt_reader(XTERM, history=history)().strip()


def test_several_lines_are_typed_by_a_backslash_or_alt_enter_or_pasted(tmp_path: Path) -> None:
    assert read("one\\\rtwo\r", tmp_path / "h") == "one\ntwo"
    assert read("one\x1b\rtwo\r", tmp_path / "h") == "one\ntwo"
    assert read("\x1b[200~one\ntwo\x1b[201~\r", tmp_path / "h") == "one\ntwo"


def test_earlier_prompts_come_back_from_a_file_that_only_this_user_reads(tmp_path: Path) -> None:
    read("what was said\r", tmp_path / "h")
    assert read("\x1b[A\r", tmp_path / "h") == "what was said"
    assert stat.S_IMODE((tmp_path / "h").stat().st_mode) == 0o600


def test_without_a_folder_for_it_there_is_no_history_file(tmp_path: Path) -> None:
    assert read("one\r", tmp_path / "none" / "h") == "one"


def test_ctrl_d_and_ctrl_c_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(EOFError):
        read("\x04", tmp_path / "h")
    with pytest.raises(KeyboardInterrupt):
        read("\x03", tmp_path / "h")

"""What holds for all commands: JSON for scripts, and wrong words as a sentence with status 2."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from cli.__main__ import main, make_parser

PRINT_NO_DATA = {
    "up", "chat", "clean-data", "portal",
    "env",  # a line for a shell
    "queue",  # procrastinate's own shell
    "files get", "files zip", "file-policies delete",
}  # fmt: skip


def leaves(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield each command that has no verbs below it, by its words."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield name, parser
    for action in below:
        for word, verb in action.choices.items():
            yield from leaves(verb, f"{name} {word}".strip())


COMMANDS = dict(leaves(make_parser()))


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - PRINT_NO_DATA))
def test_each_command_that_prints_data_prints_json_for_scripts(name: str) -> None:
    assert "--json" in COMMANDS[name].format_help()


@pytest.mark.parametrize("words", ["put S a --root agent", "restore S a --saved", "restore S a", "diff S A B --run R"])
def test_files_takes_no_option_that_it_would_ignore(words: str) -> None:
    some = "00000000-0000-4000-8000-000000000001"
    with pytest.raises(SystemExit) as ended:
        main(["files", *(some if word in "SABR" else word for word in words.split())])
    assert ended.value.code == 2


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_says_what_it_does(name: str) -> None:
    assert COMMANDS[name].description


def test_commands_without_json_are_there() -> None:
    assert COMMANDS.keys() >= PRINT_NO_DATA


@pytest.mark.parametrize("command", ["sessions", "runs", "audit"])
@pytest.mark.parametrize("number", ["-1", "x", "1.5", "9999999999", "\u0661"])
def test_a_limit_that_cannot_be_is_a_sentence(command: str, number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, f"--limit={number}"])
    assert ended.value.code == 2
    assert f"{number} is no whole number from" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["sessions", "runs"])
def test_a_list_of_nothing_is_not_asked_for(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--limit", "0"])
    assert "0 is no whole number from 1 on" in capsys.readouterr().err

"""Real shells, which only print their words, decide what a spelling means; rules must not miss it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.human_loop.rule_matching import deciding_rule
from handlers.human_loop.shell_script import parse_script
from handlers.human_loop.tool_call import read_call
from tests.thoroughness import by_chance, chances
from tests.unit.handlers.human_loop.test_rule_matching import rule

SHELLS = ("bash", "sh")
WRAPPERS = ("env", "nice", "nohup", "timeout", "xargs", *SHELLS)
RULES = (
    *(rule("allow", command=pattern) for pattern in (None, "*", "git *", "env *")),
    rule("deny", command="git push*"),
)


@dataclass(frozen=True)
class Stub:
    """A folder in which a shell finds no program but wrappers and `git`, which writes its words to a file."""

    folder: Path

    def ran(self, shell: str, script: str) -> list[list[str]]:
        """The words of every `git` that the script ran."""
        log = self.folder / "log"
        log.write_bytes(b"")
        subprocess.run(
            [str(shutil.which(shell)), "-c", script],
            cwd=self.folder / "work",
            env={"PATH": str(self.folder / "bin"), "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
        )
        return [line.split("\0")[:-1] for line in log.read_bytes().decode("utf-8", "replace").split("\x1e\0")[:-1]]


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Stub:
    folder = tmp_path_factory.mktemp("shell")
    (folder / "bin").mkdir()
    (folder / "work").mkdir()
    for name in ("git", "push", "pushed"):
        (folder / "work" / name).touch()
    for name in WRAPPERS:
        (folder / "bin" / name).symlink_to(os.path.realpath(str(shutil.which(name))))
    git = folder / "bin" / "git"
    git.write_text(f"#!/bin/sh\nprintf '%s\\0' \"$@\" '\x1e' >> {shlex.quote(str(folder / 'log'))}\n")
    git.chmod(0o755)
    return Stub(folder)


def spelled(word: str) -> st.SearchStrategy[str]:
    """The word with letters quoted and escaped, and nothing, quoted or on a joined line, between them."""
    letter = {
        sign: st.sampled_from(
            [sign if sign.isalnum() or sign in "-_./" else f"\\{sign}", f"\\{sign}", f"'{sign}'", f'"{sign}"']
            if sign not in "\"'$`\\\n"
            else [shlex.quote(sign)]
        )
        for sign in word
    }
    between = st.sampled_from(["", "", "", "''", '""', "\\\n", "'''"[:2]])
    parts = [part for sign in word for part in (between, letter[sign])]
    return st.tuples(*parts).map("".join)


def globbed(word: str) -> st.SearchStrategy[str]:
    """The word by a glob, a brace, a variable or a quoting that not all shells know."""
    first, rest = word[0], word[1:]
    return st.sampled_from(
        [
            *(f"[{first}]{rest}", f"?{rest}", f"{word[:-1]}*", f"{{{word},{word}}}", f"$'{word}'", f'$"{word}"'),
            *(f"$(echo {word})", f"`echo {word}`", f"${{x}}{word}", f"{word}$x", f"${{x:-{word}}}"),
            f"{first}${{x-{rest}}}",
        ]
    )


BLANK = st.sampled_from([" ", "  ", "\t", " \\\n", " \\\n\t", " $x ", " >out ", " 2>&1 ", " ${IFS} "])
PREFIX = st.sampled_from(
    [
        *("", "", "A=1 ", "env ", "env A=1 ", "env -i PATH=$PATH ", "nice ", "nice -n 1 ", "timeout 9 ", "nohup "),
        *("command ", "exec ", "! ", "time ", ">out ", "env -u A ", "timeout -k 1 9 ", "echo x | xargs ", "env nice "),
    ]
)
OPTIONS = st.sampled_from(["", "", "-C . ", "--no-pager ", "-c a=b ", "-C. -p ", "'-C' '.' "])
MORE = st.sampled_from(["", " a"])
AROUND = st.sampled_from(
    [
        *(
            "{}",
            "true; {}",
            "true && {}",
            "false || {}",
            "( {} )",
            "{{ {}; }}",
            "true\n{}",
            "true # it's\n{}",
            "x=$( {} )",
        ),
        *("echo `{}`", "if true; then {}; fi", "for i in 1; do {}; done", "f() {{ {}; }}; f", "case x in x) {};; esac"),
        *(
            "{} | true",
            "true | {}",
            "{} & wait",
            'echo "$({})"',
            "while {}; do break; done",
            "true <<E\n'\nE\n{}",
            "{} #",
        ),
        *(
            "cat <<E\n$({})\nE",
            "until {}; do break; done",
            ": ${{y:=$({})}}",
            "[ x = x ] && {}",
            "[[ x = x ]]; {}",
            "{};",
        ),
    ]
)
WITHIN = st.sampled_from(["{}", "{}", "sh -c {}", "bash -c {}", "eval {}", "env sh -ec {}", "bash -o noglob -c {}"])


@st.composite
def pushes(draw: st.DrawFn) -> str:
    word = {name: draw(spelled(name) | globbed(name)) for name in ("git", "push")}
    command = (
        f"{draw(PREFIX)}{word['git']}{draw(BLANK)}{draw(OPTIONS)}{word['push']}{draw(st.sampled_from(['', ' a']))}"
    )
    inner = draw(AROUND).format(command)
    outer = draw(WITHIN)
    return draw(AROUND).format(inner if outer == "{}" else outer.format(shlex.quote(inner)))


def is_push(words: list[str]) -> bool:
    """Whether git, which takes no value by its options but by `-C` and `-c`, would push."""
    rest = iter(words)
    for word in rest:
        if word in ("-C", "-c"):
            next(rest, None)
        elif not word.startswith("-"):
            return word == "push"
    return False


def is_allowed(command: str) -> bool:
    found = deciding_rule(RULES, read_call({"kind": "execute", "input": {"command": command}}))
    return found is not None and found.effect == "allow"


@by_chance
@chances(60, 5000)
@given(command=pushes())
def test_no_spelling_that_a_shell_takes_for_a_denied_command_is_allowed(stub: Stub, command: str) -> None:
    if is_allowed(command):
        pushed = [shell for shell in SHELLS if any(is_push(words) for words in stub.ran(shell, command))]
        assert (command, pushed) == (command, [])


SIGNS = st.text(st.sampled_from("ab -_.;|&<>()'\"$`\\*?~#!{},=\té"), min_size=1, max_size=6)


@by_chance
@chances(60, 5000)
@given(words=st.lists(SIGNS.flatmap(spelled), min_size=1, max_size=4), blank=st.sampled_from([" ", " \\\n", "\t"]))
def test_words_that_are_certain_are_those_of_every_shell(stub: Stub, words: list[str], blank: str) -> None:
    command = blank.join(["git", *words])
    script = parse_script(command)
    certain = [[word.text for word in each.words] for each in script.commands]
    if script.is_clear and not any(None in each for each in certain):
        assert certain == [["git", *each] for each in stub.ran("bash", command)]
        assert certain == [["git", *each] for each in stub.ran("sh", command)]


@pytest.mark.parametrize(
    "command",
    [
        *("git pu''sh", "g\\it p'u'sh", "env A=1 git -C . push", "sh -c 'git push'", "eval 'git pu\\sh'"),
        "git pus[h]",
        *(
            "timeout 9 nice git push",
            "echo push | xargs git",
            "x=push; git $x",
            "true # c\ngit push",
            "echo $(git push)",
        ),
    ],
)
@pytest.mark.parametrize("shell", SHELLS)
def test_these_shells_take_these_spellings_for_a_push(stub: Stub, command: str, shell: str) -> None:
    assert [words for words in stub.ran(shell, command) if is_push(words)]
    assert not is_allowed(command)

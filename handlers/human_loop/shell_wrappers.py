"""See through programs that run other programs: `env`, `sudo`, `xargs`, `sh -c` and the like.

What cannot be seen through makes a script unclear, so that a person is asked.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from itertools import takewhile

from handlers.human_loop.shell_script import Script, SimpleCommand, parse_script
from handlers.human_loop.shell_word import UNKNOWN, Hole, Word

DEEPEST = 6
"""Scripts within scripts, and wrappers around wrappers."""

SHELLS = frozenset({"ash", "bash", "dash", "ksh", "mksh", "sh", "zsh"})
_UNCLEAR = frozenset(
    {".", "alias", "enable", "hash", "shopt", "source", "trap", "csh", "fish", "tcsh", "pwsh", "su", "runuser", "ssh"}
    | {"script", "watch", "flock", "at", "batch", "screen", "tmux", "expect", "parallel"}
)
"""Commands that change the words that follow, and those that run text by grammars of their own."""
_INTERPRETERS = re.compile(r"(python|pypy|perl|ruby|node|nodejs|deno|bun|php|lua|luajit|tclsh)[0-9.]*")
_IS_CODE = re.compile(r"-[A-Za-z]*[ceErp].*|--eval.*|--print.*|eval|-")
_WITH_VALUE = {
    "env": frozenset({"-u", "--unset", "-C", "--chdir", "-a", "--argv0"}),
    "sudo": frozenset({"-u", "-g", "-C", "-D", "-h", "-p", "-R", "-r", "-T", "-t", "-U", "--user", "--group"}),
    "doas": frozenset({"-u", "-C"}),
    "nice": frozenset({"-n", "--adjustment"}),
    "ionice": frozenset({"-c", "-n", "-p"}),
    "timeout": frozenset({"-k", "-s", "--kill-after", "--signal"}),
    "xargs": frozenset({"-n", "-L", "-P", "-s", "-d", "-E", "-a", "--max-args", "--max-procs", "--delimiter"}),
    "stdbuf": frozenset({"-i", "-o", "-e"}),
    "exec": frozenset({"-a"}),
    "time": frozenset({"-f", "-o"}),
    **{name: frozenset() for name in ("nohup", "command", "builtin", "setsid", "coproc", "!", "busybox")},
}
"""Options of wrappers whose value is the next word."""
_OPERANDS = {"timeout": 1}
"""Words of a wrapper before the command that it runs."""
_FROM_ELSEWHERE = frozenset({"find", "fd"})
"""Programs that add words of their own to the commands that they run."""
_GIT_WITH_VALUE = frozenset({"-C", "--git-dir", "--work-tree", "--namespace", "--super-prefix", "--attr-source"})
_HARMLESS_CONFIG = re.compile(r"(user|color|advice|commit)\.")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_IS_INLINE = re.compile(r"-[A-Za-z]*c[A-Za-z]*")
_OF_A_SHELL = re.compile(r"[-+][A-NP-Za-np-z]*|--[a-z-]+|[-+][oO]")
_OF_A_SHELL_WITH_VALUE = frozenset({"-o", "+o", "-O", "+O", "--rcfile", "--init-file"})


def seen_through(script: Script) -> Script:
    """Return the script with the commands that its wrappers run, after those of the script itself."""
    seen = _Seen(is_clear=script.is_clear)
    for command in script.commands:
        seen.add(command, depth=0)
    return Script(tuple(seen.commands), seen.is_clear)


@dataclass
class _Seen:
    is_clear: bool
    commands: list[SimpleCommand] = field(default_factory=list)

    def add(self, command: SimpleCommand, *, depth: int) -> None:
        self.commands.append(command)
        if depth > DEEPEST:
            self.is_clear = False
            return
        words = _without_assignments(command.words)
        if not words:
            return
        if len(words) < len(command.words):
            self._add_words(words, depth)
            return
        self._add_inner(posixpath.basename(words[0].text or ""), words, depth)

    def _add_inner(self, program: str, words: tuple[Word, ...], depth: int) -> None:
        if not program or program in _UNCLEAR or _is_code(program, words[1:]):
            self.is_clear = False
        elif program in SHELLS:
            self._add_inline(words, depth)
        elif program == "eval":
            self._add_script(words[1:], depth)
        elif program == "git":
            self._add_git(words)
        elif program in _WITH_VALUE:
            self._add_wrapped(program, words, depth)
        elif program in _FROM_ELSEWHERE:
            self.commands.append(_as_command(_with_holes(words)))

    def _add_words(self, words: tuple[Word, ...], depth: int) -> None:
        if words:
            self.add(_as_command(words), depth=depth + 1)

    def _add_wrapped(self, program: str, words: tuple[Word, ...], depth: int) -> None:
        inner = _after_options(words, _WITH_VALUE[program])[_OPERANDS.get(program, 0) :]
        if program == "env" and any(word.letters.startswith(("-S", "--split", "-vS")) for word in words):
            self.is_clear = False
        if program == "xargs":
            self.is_clear &= not any(re.match(r"-[IiJ]|--replace", word.letters) for word in words)
            inner = _with_holes(inner)
        self._add_words(inner, depth)

    def _add_inline(self, words: tuple[Word, ...], depth: int) -> None:
        """Read the script of `sh -c`. A shell that reads its script from elsewhere is unclear; a file is a program."""
        rest = _after_options(words, _OF_A_SHELL_WITH_VALUE)
        options = words[1 : len(words) - len(rest)]
        named = [word.letters for word in options if word.letters.startswith(("-", "+"))]
        if not all(_OF_A_SHELL.fullmatch(each) for each in named):
            self.is_clear = False
        elif any(_IS_INLINE.fullmatch(each) for each in named):
            self._add_script(rest[:1], depth)
        elif not rest or any("s" in each for each in named) or rest[0].text is None:
            self.is_clear = False

    def _add_script(self, words: tuple[Word, ...], depth: int) -> None:
        texts = [word.text for word in words]
        script = parse_script(" ".join(text for text in texts if text is not None))
        self.is_clear &= script.is_clear and None not in texts
        for command in script.commands:
            self.add(command, depth=depth + 1)

    def _add_git(self, words: tuple[Word, ...]) -> None:
        """Add the subcommand without git's own options. Configuration may name programs, so it is unclear."""
        rest = _after_options(words, _GIT_WITH_VALUE | {"-c", "--config-env"})
        options = [word.letters for word in words[1 : len(words) - len(rest)]]
        for option, value in zip(options, [*options, ""][1:], strict=True):
            if option.startswith(("--exec-path=", "--config-env")):
                self.is_clear = False
            if option.startswith("-c") and not _HARMLESS_CONFIG.match(option[2:] or value):
                self.is_clear = False
        if options:
            self.commands.append(_as_command((words[0], *rest)))


def _as_command(words: tuple[Word, ...]) -> SimpleCommand:
    return SimpleCommand(words, " ".join(word.letters for word in words))


def _is_code(program: str, words: tuple[Word, ...]) -> bool:
    """Return whether an interpreter is given a program that is no file."""
    if program.endswith("awk"):
        return any(sign in word.letters for word in words for sign in ("system", "|", "getline"))
    if _INTERPRETERS.fullmatch(program) is None:
        return False
    options = takewhile(lambda word: word.letters != "-m", words)
    return not words or any(_IS_CODE.fullmatch(word.letters) for word in options)


def _without_assignments(words: tuple[Word, ...]) -> tuple[Word, ...]:
    at = 0
    while at < len(words) and _ASSIGNMENT.match(words[at].letters):
        at += 1
    return words[at:]


def _after_options(words: tuple[Word, ...], with_value: frozenset[str]) -> tuple[Word, ...]:
    """Return the words after the program's own options."""
    at = 1
    while at < len(words) and words[at].letters.startswith(("-", "+")):
        option = words[at].letters
        at += 2 if option in with_value else 1
        if option == "--":
            break
    return words[at:]


def _with_holes(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """Return the words with `{}` unknown, and any words after them."""
    holed = (Word((Hole.ANYTHING,)) if "{}" in word.letters else word for word in words)
    return (*holed, UNKNOWN)

"""Read the paths that a tool call names, and those that words of its command may name. Links are not followed."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from handlers.human_loop.possible_text import might_match
from handlers.human_loop.shell_script import Script
from handlers.human_loop.shell_word import Hole, Word
from schema.paths import ROOTS, TOP
from schema.wire import Json

LONGEST_PATH = 1024
MOST_MENTIONS = 4000
MOST_FOLDERS = 16

_NAMES_A_PATH = re.compile(
    r"(path|file|folder|dir|directory|directories|cwd|source|src|destination|dest|dst|target|uri|name|root|location)s?$"
    r"|^(to|from|into|output|out|link)$",
    re.IGNORECASE,
)
_IS_LIKE_A_PATH = re.compile(r"^(/|~|file:)|(^|/)\.\.(/|$)")
_BETWEEN_WORDS = re.compile(r"[\s;&|`<>(){}\"'=,:@]+")
_FOLDER_OPTION = re.compile(r"(?:-C|--directory|--chdir|--cwd|--prefix|--work-tree|--git-dir|--root)(?:=?(.+))?$")
_TEXTS = frozenset(
    {"command", "cmd", "content", "contents", "description", "diff", "newstr", "newstring", "newtext", "oldstr"}
    | {"oldstring", "oldtext", "patch", "prompt", "text", "unifieddiff", "newsource"}
)
_HARMLESS = _TEXTS | frozenset(
    {"type", "kind", "mode", "editmode", "encoding", "language", "id", "callid", "cellid", "celltype", "operation"}
    | {"action", "title", "reason", "explanation", "instructions", "summary", "thought", "toolname", "status"}
)
_UNSURE = re.compile(r"/(proc|dev/fd)(/|$)|~[^/]|~/\.\.(/|$)")
_HOLED_DOTS = re.compile(r"(^|/)\.[^/]*\x00")


@dataclass(frozen=True)
class Places:
    """Folders that paths start from: the workspace, and where the call begins."""

    root: str
    cwd: str

    @classmethod
    def of(cls, tool_call: Json) -> Places:
        """Read them from the call; the executor writes both."""
        root = folder(tool_call.get("workspace")) or ROOTS["workspace"]
        return cls(root, folder(tool_call.get("cwd")) or root)

    def place(self, text: str, base: str | None = None) -> str:
        """Return the path relative to the workspace, or absolute or with a tilde outside of it."""
        if text.startswith("~"):
            home, slash, rest = text.partition("/")
            return home + slash + (posixpath.normpath(rest) if rest else "")
        if text.startswith("file:"):
            text = "/" + unquote(re.sub(r"^file:(//[^/]*)?", "", text)).lstrip("/")
        path = folder(posixpath.join(base or self.cwd, text)) or "/"
        return TOP if path == self.root else path.removeprefix(self.root + "/")


def folder(given: object) -> str | None:
    """Return the absolute path in its shortest form; None for anything else."""
    if not isinstance(given, str) or not given.startswith("/"):
        return None
    return "/" + posixpath.normpath(given).lstrip("/")


def is_unsure(place: str) -> bool:
    """Return whether the path's letters do not say where it lies: links of the kernel, and homes of others."""
    return _UNSURE.match(place) is not None


def path_texts(tool_call: Json, fields: Json) -> Iterator[str]:
    """Yield every text of the call that is a path, and where the executor found that links lead."""
    resolved = tool_call.get("resolved")
    yield from (text for text in (resolved if isinstance(resolved, list) else []) if isinstance(text, str))
    for told in (tool_call.get("locations"), tool_call.get("diffs")):
        for each in told if isinstance(told, list) else []:
            if isinstance(each, dict) and isinstance(each.get("path"), str):
                yield each["path"]
    for key, text in _texts(fields):
        if plain_key(key) not in _TEXTS and (_NAMES_A_PATH.search(key) or _is_like_a_path(text)):
            yield text


def other_path_texts(kind: str | None, fields: Json) -> Iterator[str]:
    """Yield texts that may be further paths: a tool that changes files may name one under any key."""
    for key, text in _texts(fields) if kind in ("edit", "delete", "move") else ():
        is_of_a_file = key or "." in text or "/" in text
        if plain_key(key) not in _HARMLESS and text and is_of_a_file and "\n" not in text:
            yield text


def plain_key(key: str) -> str:
    """Return the key without the differences between agents."""
    return key.replace("_", "").lower()


def _texts(fields: Json) -> Iterator[tuple[str, str]]:
    """Yield every text with its key. Yield inner keys too: some agents use file names as keys."""
    rest: list[tuple[str, object]] = list(fields.items())
    while rest:
        key, value = rest.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, list):
            rest += [(key, each) for each in value]
        elif isinstance(value, dict):
            rest += [*value.items(), *(("", each) for each in value)]


def _is_like_a_path(text: str) -> bool:
    return len(text) <= LONGEST_PATH and "\n" not in text and _IS_LIKE_A_PATH.search(text) is not None


@dataclass
class Mentions:
    """Paths that words of a command may name. A NUL in one stands for characters of a name that a shell fills in.
    `is_sure`: there are no others."""

    places: Places
    folders: list[str]
    found: set[str] = field(default_factory=set)
    is_sure: bool = True

    def add_script(self, script: Script, written: str) -> None:
        """Add every word of the script, and of the text as it is written."""
        for command in script.commands:
            self._enter_folders(command.words)
            for word in (*command.words, *command.targets):
                self._add(word.path)
        for text in _BETWEEN_WORDS.split(written):
            self._add(text)

    def _enter_folders(self, words: tuple[Word, ...]) -> None:
        """Let words be relative to a folder that the command enters too."""
        letters = [word.path for word in words]
        if letters and letters[0] in ("cd", "pushd", "popd", "chdir"):
            named = letters[1:]
            self.is_sure &= len(named) == 1 and not named[0].startswith("-")
        else:
            named = []
            for option, value in zip(letters, [*letters, ""][1:], strict=True):
                if match := _FOLDER_OPTION.match(option):
                    named.append(match[1] or value)
        for each in named:
            self._enter(each)

    def _enter(self, name: str) -> None:
        """Add the folder below each folder so far; from MOST_FOLDERS on, no more is known."""
        is_known = not any(hole.value in name for hole in Hole) and not name.startswith("~")
        self.is_sure &= is_known and len(name) <= LONGEST_PATH and len(self.folders) <= MOST_FOLDERS
        if self.is_sure:
            entered = [folder(posixpath.join(base, name)) or base for base in self.folders]
            self.folders = list(dict.fromkeys([*self.folders, *entered]))

    def _add(self, letters: str) -> None:
        self.is_sure &= Hole.ANYTHING.value not in letters and len(self.found) <= MOST_MENTIONS
        if not self.is_sure:
            return
        for text in {letters, *_BETWEEN_WORDS.split(letters), *self._after_option(letters)}:
            if text:
                self._add_text(text)

    def _after_option(self, letters: str) -> Iterable[str]:
        """Return what may be the value in `-fvalue`: every end of the first name."""
        if not letters.startswith("-"):
            return []
        first = len(letters.partition("/")[0])
        self.is_sure &= first <= 64
        return [letters[at:] for at in range(1, min(first, 64) + 1)]

    def _add_text(self, text: str) -> None:
        for base in self.folders:
            place = self.places.place(text, base)
            self.is_sure &= not is_unsure(place) and _HOLED_DOTS.search(text) is None
            self.found.add(place)
            if inside := self._inside(place):
                self.found.add(inside)

    def _inside(self, place: str) -> str | None:
        """Return the path within the workspace, where holes of an absolute path may be the workspace's name."""
        names, root = place.split("/"), self.places.root.split("/")
        if not place.startswith("/") or Hole.NAME.value not in place or len(names) <= len(root):
            return None
        fits = all(might_match(name, wanted) for name, wanted in zip(names, root, strict=False))
        return "/".join(names[len(root) :]) if fits else None


def might_lie_in(place: str, pattern: str) -> bool:
    """Return whether the path, or a folder above it, might match. Where home lies is not known."""
    if place.startswith("~") and pattern.startswith("/"):
        return True
    if place.startswith("/") and pattern.startswith("~/"):
        pattern = f"/**/{pattern[2:]}"
    if place.startswith(("/", "~")) != pattern.startswith(("/", "~")):
        return False
    return _names_might_match(place.split("/"), [*pattern.split("/"), "**"])


def _names_might_match(names: list[str], wanted: list[str]) -> bool:
    """Follow all states at once: which of the wanted names may be the next."""
    now = _with_skipped({0}, wanted)
    for name in names:
        following = {at for at in now if at < len(wanted) and wanted[at] == "**"}
        following |= {at + 1 for at in now if at < len(wanted) and wanted[at] != "**" and might_match(name, wanted[at])}
        now = _with_skipped(following, wanted)
    return len(wanted) in now


def _with_skipped(now: set[int], wanted: list[str]) -> set[int]:
    """Add the states behind names `**`, which may stand for none."""
    found = set(now)
    for at, name in enumerate(wanted):
        if at in found and name == "**":
            found.add(at + 1)
    return found

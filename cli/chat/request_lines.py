"""Describe an agent's request in lines: what it wants to do, by when, and the one menu of answers."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from cli.times import length_words, moment_of
from schema.events import PermissionOption
from schema.wire import Json

LETTERS = {
    "allow_once": ("y", "allow"),
    "allow_always": ("a", "allow always"),
    "reject_once": ("n", "deny"),
    "reject_always": ("n", "deny"),
}
AT_THE_DEADLINE = {
    "deny": "denied in {time}",
    "park": "parks in {time}; the question stays open",
    "escalate": "a second person is asked in {time}",
}
# Words that a letter's own word says already.
_PLAIN = {"allow", "always", "approve", "deny", "just", "no", "once", "permit", "reject", "this", "time", "yes"}


def path_of(entry: Json) -> str:
    """Return the path of a diff or location, relative to the workspace where it lies in it."""
    return str(entry.get("relativePath") or entry.get("path") or "")


def diffs_of(call: Json) -> list[Json]:
    """Return the changes of a tool call: those it names, else the one that its input writes; empty without any."""
    told = call.get("diffs")
    if told:
        return list(told)
    given = call.get("input")
    if call.get("kind") != "edit" or not isinstance(given, dict):
        return []
    path, new = given.get("path", given.get("file_path")), given.get("content", given.get("new_string"))
    if not isinstance(path, str) or not isinstance(new, str):
        return []
    old, workspace = given.get("old_string"), call.get("workspace")
    relative = path.removeprefix(f"{workspace}/") if workspace else path
    return [{"path": relative, "oldText": old if isinstance(old, str) else None, "newText": new}]


def call_lines(call: Json, *, has_diff: bool) -> list[str]:
    """Say what a tool call does: its command, else its paths, else its input. A diff says it better than its input."""
    given = call.get("input")
    command = given.get("command") if isinstance(given, dict) else None
    if command:
        return [f"$ {line}" if n == 0 else f"  {line}" for n, line in enumerate(_command_text(command).splitlines())]
    if has_diff:
        return []
    paths = [path_of(location) for location in call.get("locations") or [] if path_of(location)]
    if paths:
        return list(dict.fromkeys(paths))
    return as_text(given).splitlines()


def _command_text(command: Any) -> str:
    return shlex.join(map(str, command)) if isinstance(command, list) else str(command)


def deadline_words(request: Json, *, now: datetime | None = None) -> str | None:
    """Say what happens without an answer, and in which time; None when nothing does."""
    words = AT_THE_DEADLINE.get(str(request.get("onExpiry")))
    if not words or not request.get("expiresAt"):
        return None
    left = (moment_of(request["expiresAt"]) - (now or datetime.now(UTC))).total_seconds()
    return words.format(time=length_words(left)) if left > 0 else None


def menu_words(options: Sequence[PermissionOption]) -> str:
    """Return the menu in one line: a letter for each kind, and a number for each further option of a kind."""
    entries, seen = list[str](), set[str]()
    for number, option in enumerate(options, start=1):
        letter, words = LETTERS.get(option.kind, ("", option.name))
        key = letter if letter and letter not in seen else str(number)
        seen.add(key)
        entries.append(f"[{key}] {option.name if key.isdecimal() else _with_name(words, option.name)}")
    return ", ".join([*(entries or ["[y] allow", "[n] deny"]), "[c] cancel the run"])


def menu_letters(options: Sequence[PermissionOption]) -> list[str]:
    letters = dict.fromkeys(LETTERS[option.kind][0] for option in options if option.kind in LETTERS)
    return [*(letters or ["y", "n"]), "c"]


def _with_name(words: str, name: str) -> str:
    """Add the agent's own words where they say more than the menu's."""
    says_more = set(re.findall(r"[\w']+", name.casefold().replace("\u2019", "'"))) - _PLAIN
    return f"{words} ({name})" if says_more else words


def as_text(value: Any) -> str:
    if value is None or value == {}:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

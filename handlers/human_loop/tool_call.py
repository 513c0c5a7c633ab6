"""Read what a tool call would do, for approval rules: its kind, its command and its paths.

Each agent writes these JSON objects in its own way; a call that cannot be read completely is marked as such.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from handlers.human_loop.shell_script import LONGEST_SCRIPT, NOTHING, Script, SimpleCommand, parse_script
from handlers.human_loop.shell_word import Hole
from handlers.human_loop.shell_wrappers import seen_through
from handlers.human_loop.tool_paths import (
    LONGEST_PATH,
    Mentions,
    Places,
    is_unsure,
    other_path_texts,
    path_texts,
    plain_key,
)
from schema.wire import Json

FILE_KINDS = frozenset({"read", "edit", "delete", "move", "search"})
MOST_PATHS = 200

_FOLDERS = ("cwd", "workdir", "workingdirectory", "directory")
_OF_A_COMMAND = frozenset({"command", "cmd", "description", "timeout", "timeoutms", *_FOLDERS[:3]})
_SHELLS = frozenset(
    f"{folder}{shell}" for shell in ("bash", "sh", "zsh", "dash") for folder in ("", "/bin/", "/usr/bin/")
)


@dataclass(frozen=True)
class MatchedCall:
    """Paths are relative to the workspace, or absolute outside of it; `mentions` are words of the command that may be
    paths. `is_whole`: no effect was cut off or left unsaid. `is_only_command`: the call only runs `command`.
    `script` is the command as a shell reads it, and `runs` what it runs in the end, by wrappers too.
    `names_no_more`: the command names no files but the mentions."""

    kind: str | None
    command: str | None = None
    paths: frozenset[str] = frozenset()
    mentions: frozenset[str] = frozenset()
    is_whole: bool = True
    is_only_command: bool = False
    script: Script = NOTHING
    runs: Script = NOTHING
    names_no_more: bool = True


def read_call(tool_call: Json) -> MatchedCall:
    """Read the call. Never raises, whatever the object holds."""
    kind = tool_call["kind"] if isinstance(tool_call.get("kind"), str) else None
    arguments = tool_call.get("input")
    fields = arguments if isinstance(arguments, dict) else {}
    command = None if kind in FILE_KINDS else _command(fields)
    is_short = len((command or "").encode("utf-8", "replace")) <= LONGEST_SCRIPT
    script = parse_script(command) if command and is_short else NOTHING
    runs = seen_through(script)
    places = Places.of(tool_call)
    named = list(path_texts(tool_call, fields))
    texts = list(dict.fromkeys([*named, *other_path_texts(kind, fields)]))
    paths = {places.place(text) for text in texts[:MOST_PATHS] if len(text) <= LONGEST_PATH}
    folders = [places.cwd, *_other_folders(fields, places)]
    mentions = Mentions(places, list(folders), is_sure=not any(each.startswith("~") for each in folders))
    mentions.add_script(runs, command or "" if is_short else "")
    is_whole = (
        (arguments is None or isinstance(arguments, dict))
        and len(texts) <= MOST_PATHS
        and all(len(text) <= LONGEST_PATH for text in texts)
        and not any(is_unsure(path) for path in paths)
        and is_short
        and (command is not None or kind != "execute")
        and (bool(named) or kind not in FILE_KINDS - {"search"})
    )
    return MatchedCall(
        kind=kind,
        command=command,
        paths=frozenset(paths | _written_to(runs.commands, places, folders)),
        mentions=frozenset(mentions.found),
        is_whole=is_whole,
        is_only_command=command is not None
        and {plain_key(key) for key in fields} <= _OF_A_COMMAND
        and folders == [places.cwd],
        script=script,
        runs=runs,
        names_no_more=mentions.is_sure,
    )


def _command(fields: Json) -> str | None:
    """Return the command as a shell receives it; None without a command, or with several."""
    commands = [fields[key] for key in ("command", "cmd") if fields.get(key)]
    if len(commands) != 1:
        return None
    match commands[0]:
        case str(line):
            return line.strip() or None
        case [str(shell), "-c" | "-lc", str(script)] if shell in _SHELLS:
            return script.strip() or None
        case [*words] if all(isinstance(word, str) for word in words):
            return shlex.join(words)
        case _:
            return None


def _other_folders(fields: Json, places: Places) -> list[str]:
    """Return the folders other than the call's own in which the command is to run."""
    given = [value for key, value in fields.items() if plain_key(key) in _FOLDERS and isinstance(value, str)]
    absolute = [places.cwd if not value else places.place(value) for value in given]
    folders = [_absolute(place, places) for place in absolute]
    return [each for each in dict.fromkeys(folders) if each != places.cwd]


def _absolute(place: str, places: Places) -> str:
    return place if place.startswith(("/", "~")) else places.root if place == "." else f"{places.root}/{place}"


def _written_to(commands: tuple[SimpleCommand, ...], places: Places, folders: list[str]) -> set[str]:
    """Return the files that redirections certainly name."""
    targets = [target for command in commands for target in command.targets if target.text or target.is_home]
    paths = [target.path for target in targets if not set(target.path) & {hole.value for hole in Hole}]
    return {places.place(path, base) for path in paths for base in folders}

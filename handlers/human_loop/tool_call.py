"""Read what a tool call would do, for approval rules: its kind, its command and its paths.

Each agent writes these JSON objects in its own way; a call that cannot be read completely is marked as such.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from schema.paths import ROOTS, TOP
from schema.wire import Json

FILE_KINDS = frozenset({"read", "edit", "delete", "move", "search"})
LONGEST_COMMAND = 4000
"""Characters. Executors cut longer texts in the middle; rules do not judge the rest of a cut text."""
LONGEST_PATH = 1024
"""Characters. A call with a longer path is asked, unless a rule denies it for another reason."""
MOST_PATHS = 200

_NAMES_A_PATH = re.compile(
    r"(path|file|folder|dir|directory|directories|cwd|source|destination|target|uri)s?$", re.IGNORECASE
)
_IS_LIKE_A_PATH = re.compile(r"^(/|~|file:)|(^|/)\.\.(/|$)")
_BETWEEN_WORDS = re.compile(r"[\s;&|`<>(){}\"'=,:]+")
_TEXTS = frozenset(
    {"command", "cmd", "content", "contents", "description", "diff", "newstr", "newstring", "newtext", "oldstr"}
    | {"oldstring", "oldtext", "patch", "prompt", "text"}
)
_OF_A_COMMAND = frozenset({"command", "cmd", "cwd", "workdir", "description", "timeout", "timeoutms"})
_SHELLS = frozenset({"bash", "sh", "zsh", "dash"})


@dataclass(frozen=True)
class MatchedCall:
    """Paths are relative to the workspace, or absolute outside of it; `mentions` are words of the command that may be
    paths. `is_whole`: no effect was cut off or left unsaid. `is_only_command`: the call only runs `command`."""

    kind: str | None
    command: str | None = None
    paths: frozenset[str] = frozenset()
    mentions: frozenset[str] = frozenset()
    is_whole: bool = True
    is_only_command: bool = False


def read_call(tool_call: Json) -> MatchedCall:
    """Read the call. Never raises, whatever the object holds."""
    kind = tool_call["kind"] if isinstance(tool_call.get("kind"), str) else None
    arguments = tool_call.get("input")
    fields = arguments if isinstance(arguments, dict) else {}
    command = None if kind in FILE_KINDS else _command(fields)
    texts = list(_path_texts(tool_call, fields))
    words = _BETWEEN_WORDS.split(command or "") if len(command or "") <= LONGEST_COMMAND else []
    is_whole = (
        (arguments is None or isinstance(arguments, dict))
        and len(texts) <= MOST_PATHS
        and all(len(text) <= LONGEST_PATH for text in texts)
        and len(command or "") <= LONGEST_COMMAND
        and (command is not None or kind != "execute")
        and (bool(texts) or kind not in FILE_KINDS - {"search"})
    )
    return MatchedCall(
        kind=kind,
        command=command,
        paths=frozenset(_place(text, tool_call) for text in texts[:MOST_PATHS] if len(text) <= LONGEST_PATH),
        mentions=frozenset(_place(word, tool_call) for word in words if word),
        is_whole=is_whole,
        is_only_command=command is not None and {_plain(key) for key in fields} <= _OF_A_COMMAND,
    )


def _command(fields: Json) -> str | None:
    """Return the command as a shell receives it; None without a command, or with several."""
    commands = [fields[key] for key in ("command", "cmd") if fields.get(key)]
    if len(commands) != 1:
        return None
    match commands[0]:
        case str(line):
            return line.strip() or None
        case [str(shell), "-c" | "-lc", str(script)] if posixpath.basename(shell) in _SHELLS:
            return script.strip() or None
        case [*words] if all(isinstance(word, str) for word in words):
            return shlex.join(words)
        case _:
            return None


def _path_texts(tool_call: Json, fields: Json) -> Iterator[str]:
    for entries in (tool_call.get("locations"), tool_call.get("diffs")):
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                yield entry["path"]
    for key, text in _texts(fields):
        if _plain(key) not in _TEXTS and (_NAMES_A_PATH.search(key) or _is_like_a_path(text)):
            yield text


def _texts(fields: Json) -> Iterator[tuple[str, str]]:
    """Yield every text with its key. Yield inner keys too: some agents use file names as keys."""
    rest: list[tuple[str, object]] = list(fields.items())
    while rest:
        key, value = rest.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, list):
            rest += [(key, text) for text in value]
        elif isinstance(value, dict):
            rest += [*value.items(), *(("", text) for text in value)]


def _is_like_a_path(text: str) -> bool:
    return len(text) <= LONGEST_PATH and "\n" not in text and _IS_LIKE_A_PATH.search(text) is not None


def _plain(key: str) -> str:
    return key.replace("_", "").lower()


def _place(text: str, tool_call: Json) -> str:
    """Return the path's location by its letters alone; links are not followed."""
    if text.startswith("~"):
        return text
    if text.startswith("file:"):
        text = "/" + unquote(re.sub(r"^file:(//[^/]*)?", "", text)).lstrip("/")
    root = _folder(tool_call.get("workspace")) or ROOTS["workspace"]
    path = _folder(posixpath.join(_folder(tool_call.get("cwd")) or root, text)) or "/"
    return TOP if path == root else path.removeprefix(root + "/")


def _folder(path: object) -> str | None:
    if not isinstance(path, str) or not path.startswith("/"):
        return None
    return "/" + posixpath.normpath(path).lstrip("/")

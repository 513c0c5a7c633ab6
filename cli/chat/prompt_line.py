"""Read a person's prompts: with history and several lines by prompt_toolkit, or by lines in a plain terminal."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

MARK = "› "
HELP = (
    "/help     these lines",
    "/session  this session's id and how to come back to it",
    "/leave    leave the chat, as Ctrl-D does; a run goes on",
    "//word    send /word to the agent, for an agent's own commands",
    "\\ at the end of a line, or Alt-Enter, begins another line. The arrow keys bring back earlier prompts.",
    "Ctrl-C stops a run. At a question, n and a reason tell the agent why you deny.",
)
LEAVING = ("leave", "quit", "exit")
_COMMAND = re.compile(r"/([A-Za-z][\w-]*)\s*")

ReadPrompt = Callable[[], str]
"""Return what was typed. Raise EOFError at Ctrl-D and KeyboardInterrupt at Ctrl-C."""


def prompt_reader(environ: Mapping[str, str], *, history: Path) -> ReadPrompt:
    """Return the reader for this terminal. `history` is the file of earlier prompts; it may be missing."""
    if (environ.get("TERM") or "dumb") in ("dumb", "unknown"):
        return lambda: "\n".join(_plain_lines())
    session = _open_session(history)
    return lambda: _without_backslashes(session.prompt())


def command_in(text: str) -> str | None:
    """Return the chat's own command in a typed text, without its slash; None for a prompt."""
    found = _COMMAND.fullmatch(text.strip())
    return found[1].lower() if found else None


def prompt_in(text: str) -> str:
    """Return the prompt to send: `//word` stands for the agent's own `/word`."""
    return text[1:] if text.startswith("//") else text


def _plain_lines() -> Iterator[str]:
    """Yield one line and its continuation lines: a backslash at the end continues a line."""
    line = input(f"\n{MARK}")
    while line.endswith("\\"):
        yield line[:-1]
        line = input("  ")
    yield line


def _open_session(history: Path) -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    kept = FileHistory(_private(history)) if os.access(history.parent, os.W_OK) else InMemoryHistory()
    return PromptSession(
        f"\n{MARK}",
        history=kept,
        multiline=True,
        key_bindings=_keys(),
        prompt_continuation=lambda width, _line, _wraps: " " * width,
    )


def _private(file: Path) -> str:
    """Make the file readable by this user only: prompts may hold secrets."""
    os.close(os.open(file, os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
    return str(file)


def _keys() -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        """Send the prompt, or begin another line after a backslash."""
        buffer = event.current_buffer
        if buffer.document.current_line_before_cursor.endswith("\\"):
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def _without_backslashes(text: str) -> str:
    """Remove the backslashes that only continued a line."""
    return text.replace("\\\n", "\n")

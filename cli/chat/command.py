"""`make chat`: a terminal chat with one session, a client of the public API and nothing else.

On a terminal it goes on until Ctrl-D; Ctrl-C stops the run, twice leaves. Without one it sends one prompt, from the
arguments or stdin, and its exit status is the run's outcome.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from rich.console import Console

from cli.chat.client import Api, ChatError, ChatPrompt, read_token
from cli.chat.conversation import Left, Talk
from cli.chat.screen import Screen
from cli.local.data_dir import find_places
from cli.local.pidfile import read_running
from schema.options import RunOptions

if TYPE_CHECKING:
    from cli.commands import Commands

DEFAULT_URL = "http://127.0.0.1:8080"


def add_command(commands: Commands) -> None:
    about = "talk to an agent: type a prompt, watch it work, answer what it asks"
    parser = commands.add_parser("chat", help=about, description=about)
    parser.add_argument("prompt", nargs="*", help="send this one prompt, then end (also from a pipe)")
    parser.add_argument("--session", type=UUID, metavar="ID", help="go on with this session")
    parser.add_argument("--provider", help="demo, claude-code, codex, opencode, ...; default: the app's")
    parser.add_argument("--model", help="a model of the provider's")
    parser.add_argument("--mode", choices=["ask", "auto"], help="whether the agent asks before it acts")
    parser.add_argument("--yes", action="store_true", help="allow everything that the agent asks")
    parser.set_defaults(run=chat)


def chat(asked: argparse.Namespace) -> int:
    """The exit status: 0 when every run that was waited for succeeded or was stopped here."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if sys.stdin.isatty():
        import readline  # noqa: F401  input() then edits and remembers lines
    console = Console(highlight=False, markup=False)
    try:
        talk = Talk(
            api=api_of(os.environ),
            screen=Screen(console),
            prompt=ChatPrompt("", asked.session, asked.provider, _options(asked)),
            on_terminal=sys.stdin.isatty(),
            allow=asked.yes,
        )
        if asked.prompt or not talk.on_terminal:
            return send_one(talk, " ".join(asked.prompt) or sys.stdin.read())
        return converse(talk)
    except ChatError as error:
        console.print(str(error), style="red", soft_wrap=True)
        return 1


def api_of(environ: Mapping[str, str]) -> Api:
    """The Runyard of RUNYARD_URL and RUNYARD_TOKEN, or this clone's own. Raises ChatError."""
    places = find_places(environ)
    running = read_running(places)
    url = environ.get("RUNYARD_URL") or (running.url if running else DEFAULT_URL)
    return Api(url, environ.get("RUNYARD_TOKEN") or read_token(places.token))


def _options(asked: argparse.Namespace) -> RunOptions:
    given = {name: getattr(asked, name) for name in ("model", "mode") if getattr(asked, name) is not None}
    return RunOptions.model_validate(given)


def send_one(talk: Talk, text: str) -> int:
    if not text.strip():
        raise ChatError("There is no prompt: give one as an argument or on stdin.")
    try:
        return 0 if talk.run(text) == "succeeded" else 1
    except Left:
        return leave(talk, status=1)


def converse(talk: Talk) -> int:
    talk.screen.note("Type a prompt (\\ at the end of a line: there is more). Ctrl-C stops a run, Ctrl-D leaves.")
    try:
        talk.catch_up()
        while True:
            text = read_prompt(talk)
            if text is None:
                return leave(talk)
            try:
                talk.run(text)
            except ChatError as error:
                talk.screen.note(str(error), style="red")
    except Left:
        return leave(talk)


def read_prompt(talk: Talk) -> str | None:
    """The next prompt that says something; None when the person leaves."""
    while True:
        try:
            text = "\n".join(read_lines()).strip()
        except EOFError:
            return None
        except KeyboardInterrupt:
            talk.screen.note("\nCtrl-D leaves.")
            continue
        if text:
            return text


def read_lines() -> Iterator[str]:
    """One line, and those after it as long as each ends with a backslash."""
    line = input("\n› ")
    while line.endswith("\\"):
        yield line[:-1]
        line = input("  ")
    yield line


def leave(talk: Talk, *, status: int = 0) -> int:
    if talk.prompt.session_id is not None:
        talk.screen.note(f"\nCome back with: make chat SESSION={talk.prompt.session_id}")
    return status

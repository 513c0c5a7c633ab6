"""`make chat`: a terminal chat with one session, which uses the public API only.

On a terminal the chat continues until Ctrl-D; Ctrl-C stops the run, a second Ctrl-C leaves the chat. Without a terminal
the chat sends one prompt, from the arguments or stdin, and its exit status is the run's outcome.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from cli.chat.client import Api, ChatError, ChatPrompt, read_token
from cli.chat.conversation import ChatSession, PersonLeft
from cli.chat.screen import Screen
from cli.local.data_dir import find_data_dir
from cli.local.pidfile import read_running
from schema.options import RunOptions

if TYPE_CHECKING:
    from cli.commands import Commands

DEFAULT_URL = "http://127.0.0.1:8080"


def add_command(commands: Commands) -> None:
    about = "chat with an agent: type a prompt, follow its work, answer its requests"
    parser = commands.add_parser("chat", help=about, description=about)
    parser.add_argument("prompt", nargs="*", help="send this prompt and exit when its run ends (also from a pipe)")
    parser.add_argument("--session", type=UUID, metavar="ID", help="continue this session")
    parser.add_argument("--provider", help="demo, claude-code, codex, opencode, ...; default: the app's provider")
    parser.add_argument("--model", help="a model of the provider")
    parser.add_argument("--mode", choices=["ask", "auto"], help="ask: the agent asks before it acts; auto: it does not")
    parser.add_argument(
        "--attach",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="upload this file with the first prompt",
    )
    parser.add_argument("--yes", action="store_true", help="allow every request of the agent")
    parser.set_defaults(run=chat)


def chat(args: argparse.Namespace) -> int:
    """Chat or send one prompt. Return the exit status: 1 when a single prompt's run did not succeed."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if sys.stdin.isatty():
        import readline  # noqa: F401  it gives input() line editing and history
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    try:
        api = api_of(os.environ)
        conversation = ChatSession(
            api=api,
            screen=Screen(console),
            prompt=_attached(api, ChatPrompt("", args.session, args.provider, _options(args)), args.attach),
            on_terminal=sys.stdin.isatty(),
            allow=args.yes,
        )
        if args.prompt or not conversation.on_terminal:
            return send_one(conversation, " ".join(args.prompt) or sys.stdin.read())
        return converse(conversation)
    except ChatError as error:
        console.print(str(error), style="red", soft_wrap=True)
    except OSError as error:
        console.print(f"{error.filename}: {error.strerror}", style="red", soft_wrap=True)
    return 1


def _attached(api: Api, prompt: ChatPrompt, files: list[Path]) -> ChatPrompt:
    """Upload the files into the prompt's session, which is made when there is none yet."""
    if not files:
        return prompt
    session_id = prompt.session_id or api.new_session()
    paths = tuple(api.upload(session_id, file)["path"] for file in files)
    return replace(prompt, session_id=session_id, attachments=paths)


def api_of(environ: Mapping[str, str]) -> Api:
    """Return a client for RUNYARD_URL and RUNYARD_TOKEN, or for this clone's server. Raise ChatError."""
    data_dir = find_data_dir(environ)
    running = read_running(data_dir)
    url = environ.get("RUNYARD_URL") or (running.url if running else DEFAULT_URL)
    return Api(url, environ.get("RUNYARD_TOKEN") or read_token(data_dir.token))


def _options(args: argparse.Namespace) -> RunOptions:
    options = {name: getattr(args, name) for name in ("model", "mode") if getattr(args, name) is not None}
    return RunOptions.model_validate(options)


def send_one(conversation: ChatSession, text: str) -> int:
    if not text.strip():
        raise ChatError("The prompt is empty. Pass a prompt as an argument or on stdin.")
    try:
        return 0 if conversation.run(text) == "succeeded" else 1
    except PersonLeft:
        return leave(conversation, status=1)


def converse(conversation: ChatSession) -> int:
    conversation.screen.note("Type a prompt (end a line with \\ to continue it). Ctrl-C stops a run, Ctrl-D leaves.")
    try:
        conversation.catch_up()
        while True:
            text = read_prompt(conversation)
            if text is None:
                return leave(conversation)
            try:
                conversation.run(text)
            except ChatError as error:
                conversation.screen.note(str(error), style="red")
    except PersonLeft:
        return leave(conversation)


def read_prompt(conversation: ChatSession) -> str | None:
    """Read the next prompt that is not empty. Return None when the person leaves."""
    while True:
        try:
            text = "\n".join(read_lines()).strip()
        except EOFError:
            return None
        except KeyboardInterrupt:
            conversation.screen.note("\nPress Ctrl-D to leave.")
            continue
        if text:
            return text


def read_lines() -> Iterator[str]:
    """Yield one line and its continuation lines: a backslash at the end continues a line."""
    line = input("\n› ")
    while line.endswith("\\"):
        yield line[:-1]
        line = input("  ")
    yield line


def leave(conversation: ChatSession, *, status: int = 0) -> int:
    if conversation.prompt.session_id is not None:
        conversation.screen.note(f"\nContinue this session with: make chat SESSION={conversation.prompt.session_id}")
    return status

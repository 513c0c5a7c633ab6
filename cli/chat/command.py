"""`make chat`: a terminal chat with one session, which uses the public API only.

On a terminal the chat continues until Ctrl-D; Ctrl-C stops the run, a second Ctrl-C leaves the chat. Without a terminal
the chat sends one prompt, from the arguments or stdin, and its exit status is the run's outcome (docs/cli.md).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from cli.chat.client import Api, ChatError, ChatPrompt, read_token
from cli.chat.conversation import ChatSession, NobodyToAsk, PersonLeft
from cli.chat.history import say_how_to_return, show_head
from cli.chat.people import People
from cli.chat.prompt_line import HELP, LEAVING, ReadPrompt, command_in, prompt_in, prompt_reader
from cli.chat.screen import Screen
from cli.local.data_dir import find_data_dir
from cli.local.pidfile import NOT_RUNNING, running_url
from schema.options import RunOptions

if TYPE_CHECKING:
    from cli.commands import Commands

WAITS = 3
"""The exit status when a run waits for a person and there is no terminal."""
HISTORY = "chat-history"


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
    if sys.stdin.isatty():
        import readline  # noqa: F401  it gives the answers to questions line editing
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    try:
        api = api_of(os.environ)
        conversation = ChatSession(
            api=api,
            screen=Screen(console, name_of=People(api).name),
            prompt=_attached(api, ChatPrompt("", args.session, args.provider, _options(args)), args.attach),
            on_terminal=sys.stdin.isatty(),
            allow=args.yes,
        )
        if args.prompt or not conversation.on_terminal:
            return send_one(conversation, " ".join(args.prompt) or read_piped())
        return converse(conversation, prompt_reader(os.environ, history=find_data_dir().root / HISTORY))
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
    url = environ.get("RUNYARD_URL") or running_url(data_dir)
    if url is None:
        raise ChatError(
            f"{NOT_RUNNING} in another terminal, then try again. "
            "To use another Runyard, set RUNYARD_URL and RUNYARD_TOKEN."
        )
    return Api(url, environ.get("RUNYARD_TOKEN") or read_token(data_dir.token))


def read_piped() -> str:
    """Return the prompt on stdin. Raise ChatError when it is not UTF-8."""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ChatError(
            f"The prompt on stdin is not UTF-8: byte {error.start + 1} is 0x{error.object[error.start]:02x}. "
            "Convert it, for example with iconv -f LATIN1 -t UTF-8."
        ) from None


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
    except NobodyToAsk as asked:
        for line in asked.lines():
            conversation.screen.note(line, style="yellow")
        return leave(conversation, status=WAITS)


def converse(conversation: ChatSession, read: ReadPrompt) -> int:
    screen = conversation.screen
    screen.note("Type a prompt (/help says more). Ctrl-C stops a run, Ctrl-D leaves.")
    try:
        if conversation.prompt.session_id is not None:
            show_head(conversation.api, screen, conversation.prompt.session_id)
        fault = attempt(conversation.catch_up, screen)
        while True:
            text = read_prompt(conversation, read)
            if text is None:
                return leave(conversation)
            fault = fault and attempt(conversation.catch_up, screen)
            fault = fault or attempt(partial(conversation.run, text), screen)
            fault = fault and attempt(conversation.catch_up, screen, said=fault)
    except PersonLeft:
        return leave(conversation)


def attempt(work: Callable[[], object], screen: Screen, *, said: str = "") -> str:
    """Do the work. Say its ChatError unless it is `said`, and return its sentence; an empty string without one.

    The chat catches up after an error: an unfinished run, whose request may be open, comes before the next prompt.
    """
    try:
        work()
    except ChatError as error:
        if str(error) != said:
            screen.note(str(error), style="red")
        return str(error)
    return ""


def read_prompt(conversation: ChatSession, read: ReadPrompt) -> str | None:
    """Read the next prompt that is not empty, and do the chat's own commands. Return None when the person leaves."""
    while True:
        try:
            text = read().strip()
        except EOFError:
            return None
        except KeyboardInterrupt:
            conversation.screen.note("\nPress Ctrl-D to leave.")
            continue
        command = command_in(text)
        if command in LEAVING:
            return None
        if command is not None:
            do_command(conversation, command)
        elif text:
            return prompt_in(text)


def do_command(conversation: ChatSession, command: str) -> None:
    """Do one of the chat's own commands; an unknown one is never sent to the agent."""
    screen, session_id = conversation.screen, conversation.prompt.session_id
    if command == "help":
        for line in HELP:
            screen.note(line, style="")
    elif command == "session" and session_id is not None:
        say_how_to_return(screen, session_id)
    elif command == "session":
        screen.note("The session begins with your first prompt.")
    else:
        screen.note(f"There is no command /{command}; /help lists them. //{command} sends /{command} to the agent.")


def leave(conversation: ChatSession, *, status: int = 0) -> int:
    if conversation.prompt.session_id is not None:
        conversation.screen.note(f"\nContinue this session with: make chat SESSION={conversation.prompt.session_id}")
    return status

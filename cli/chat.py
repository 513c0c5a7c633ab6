"""`make chat`: a terminal chat with one session, a client of the public API and nothing else.

On a terminal it goes on until Ctrl-D; Ctrl-C stops the run, twice leaves. Without one it sends one prompt, from the
arguments or stdin, and its exit status is the run's outcome.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING
from uuid import UUID

from rich.console import Console

from cli.chat_answers import NOBODY, answer_alone, answer_permission, answer_question
from cli.chat_screen import Screen
from cli.chat_wire import Api, ChatError, Prompt, Refused, Reply, follow, read_token
from cli.places import find_places
from cli.running import read_running
from schema.events import Envelope, HumanRequested
from schema.options import RunOptions

if TYPE_CHECKING:
    from cli.commands import Commands

DEFAULT_URL = "http://127.0.0.1:8080"


class Left(Exception):
    """The person leaves while a run goes on."""


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
    console = Console(highlight=False, markup=False)
    try:
        talk = Talk(
            api=_api(os.environ),
            screen=Screen(console),
            prompt=Prompt("", asked.session, asked.provider, _options(asked)),
            on_terminal=sys.stdin.isatty(),
            allow=asked.yes,
        )
        if asked.prompt or not talk.on_terminal:
            return talk.send_one(" ".join(asked.prompt) or sys.stdin.read())
        return talk.converse()
    except ChatError as error:
        console.print(str(error), style="red", soft_wrap=True)
        return 1


def _api(environ: Mapping[str, str]) -> Api:
    places = find_places(environ)
    running = read_running(places)
    url = environ.get("RUNYARD_URL") or (running.url if running else DEFAULT_URL)
    return Api(url, environ.get("RUNYARD_TOKEN") or read_token(places.token))


def _options(asked: argparse.Namespace) -> RunOptions:
    given = {name: getattr(asked, name) for name in ("model", "mode") if getattr(asked, name) is not None}
    return RunOptions.model_validate(given)


@dataclass
class Talk:
    """One session at one terminal. `prompt` is what every run starts with; it names the session after the first."""

    api: Api
    screen: Screen
    prompt: Prompt
    on_terminal: bool
    allow: bool

    def converse(self) -> int:
        import readline  # noqa: F401  input() then edits and remembers lines

        self.screen.note("Type a prompt. Ctrl-C stops a run, Ctrl-D leaves.")
        while True:
            try:
                text = input("\n› ").strip()
            except EOFError:
                return self._leave()
            except KeyboardInterrupt:
                self.screen.note("\nCtrl-D leaves.")
                continue
            if not text:
                continue
            try:
                self.run(text)
            except Left:
                return self._leave()
            except ChatError as error:
                self.screen.note(str(error), style="red")

    def send_one(self, text: str) -> int:
        if not text.strip():
            raise ChatError("There is no prompt: give one as an argument or on stdin.")
        try:
            return 0 if self.run(text) == "succeeded" else 1
        except Left:
            self._leave()
            return 1

    def run(self, text: str) -> str:
        """Send a prompt and show what comes until that run has ended; its final status. Raises Left, ChatError."""
        started = self.api.start(replace(self.prompt, text=text))
        self.prompt = replace(self.prompt, session_id=started.session_id)
        events = follow(self.api, started.session_id, after=started.seq, tell=self.screen.note)
        with interrupts() as pressed:
            stopped = 0
            for event in events:
                if pressed.count > stopped:
                    stopped = self._stop(started.run_id, pressed.count)
                if event is None:
                    continue
                self.screen.show(event)
                if event.type == "human_loop.requested":
                    self._answer(event, pressed)
                if event.type == "run.finished" and event.run_id == started.run_id:
                    return str(event.data["status"])
        raise AssertionError("follow never ends by itself")

    def _stop(self, run_id: UUID, presses: int) -> int:
        if presses > 1:
            raise Left
        self.screen.note("stopping the run; Ctrl-C again leaves it to itself")
        self.api.stop(run_id)
        return presses

    def _answer(self, event: Envelope, pressed: Pressed) -> None:
        """An answer that the API refuses is asked for again where a person can give another; else the run would wait
        for nobody, so it is stopped."""
        request = HumanRequested.model_validate(event.data)
        while (reply := self._reply(request, pressed)) is not None:
            try:
                self.screen.answered(request.request_id)
                self.api.reply(request.request_id, reply)
            except Refused as error:
                self.screen.note(str(error), style="yellow")
                if error.code == "already_answered":
                    return
                if self.on_terminal and not self.allow:
                    continue
                pressed.count += 1
            return

    def _reply(self, request: HumanRequested, pressed: Pressed) -> Reply | None:
        """None when the person pressed Ctrl-C instead: then the run is stopped, which answers everything."""
        if self.allow or not self.on_terminal:
            reply = answer_alone(request, allow=self.allow)
            self.screen.note(f"→ {reply.decision}" + ("" if self.allow else f": {NOBODY} (--yes allows)"))
            return reply
        answer = answer_permission if request.kind == "permission" else answer_question
        try:
            with pressed.raising():
                return answer(request, ask=input, screen=self.screen)
        except (KeyboardInterrupt, EOFError):
            pressed.count += 1
            return None

    def _leave(self) -> int:
        if self.prompt.session_id is not None:
            self.screen.note(f"\nCome back with: make chat SESSION={self.prompt.session_id}")
        return 0


@dataclass
class Pressed:
    """How often Ctrl-C was pressed while a run was watched."""

    count: int = 0
    raises: bool = False

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        if self.raises:
            raise KeyboardInterrupt
        self.count += 1

    @contextmanager
    def raising(self) -> Iterator[None]:
        """While a person types, Ctrl-C has to get them out of the line."""
        self.raises = True
        try:
            yield
        finally:
            self.raises = False


@contextmanager
def interrupts() -> Iterator[Pressed]:
    pressed = Pressed()
    before = signal.signal(signal.SIGINT, pressed)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)

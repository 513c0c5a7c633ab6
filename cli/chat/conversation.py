"""One session at one terminal: start a run for each prompt, show its events, and answer the agent's requests.

The chat asks the person only when the log has no newer event. A request that was answered elsewhere, or long ago, is
never asked. The chat follows the log until the person begins to type: an answer from elsewhere removes the question.
"""

from __future__ import annotations

import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from select import select
from types import FrameType
from uuid import UUID

from cli.chat.answers import answer_alone, answer_permission, answer_question
from cli.chat.client import Api, ApiRefused, ChatPrompt, Reply, Unreachable, follow
from cli.chat.history import say_how_to_return
from cli.chat.screen import Screen
from schema.events import Envelope, HumanRequested
from schema.wire import Json

Events = Iterator[Envelope | None]
SEND_AGAIN_SECONDS = 2.0


class PersonLeft(Exception):
    """The person left while a run continues."""


class NobodyToAsk(Exception):
    """A run waits for a person, and there is no terminal. The request stays open, and its run with it."""

    def __init__(self, request: HumanRequested) -> None:
        self.request = request
        super().__init__(request.title)

    def lines(self) -> list[str]:
        """Say what can be done now."""
        answer = f"python -m cli reply {self.request.request_id}"
        if self.request.kind == "question":
            return ["The run waits for an answer, and there is no terminal. Answer it with:", f"  {answer} answer ..."]
        return [
            "The run waits for a person, and there is no terminal. YES=1 (--yes) allows what an agent asks.",
            f"Answer this one with: {answer} allow   or deny",
        ]


class RequestSettled(Exception):
    """The displayed request needs no answer any more."""


@dataclass
class ChatSession:
    """A chat with one session. `prompt` is the template of every run; after the first run it names the session."""

    api: Api
    screen: Screen
    prompt: ChatPrompt
    on_terminal: bool
    allow: bool
    _open: dict[UUID, HumanRequested] = field(default_factory=dict)
    _ended: dict[UUID, str] = field(default_factory=dict)
    _asked: dict[UUID, Json] = field(default_factory=dict)
    _unsent: dict[UUID, Reply] = field(default_factory=dict)
    _send_at: float = 0.0
    _is_asking: bool = False
    _was_interrupted: bool = False

    def run(self, text: str) -> str:
        """Send a prompt, show events until its run ends, and return the final status.

        Raise PersonLeft, NobodyToAsk, ChatError.
        """
        started = self.api.start(replace(self.prompt, text=text))
        if self.prompt.session_id is None:
            say_how_to_return(self.screen, started.session_id)
        self.prompt = replace(self.prompt, session_id=started.session_id, attachments=())
        return self._watch(started.session_id, started.run_id, after=started.seq)

    def catch_up(self) -> None:
        """Show the session's unfinished runs from their first event. Raise PersonLeft, ChatError."""
        session_id = self.prompt.session_id
        for run in self.api.unfinished_runs(session_id) if session_id else ():
            self.screen.note(f"› {run.prompt}", style="bold")
            assert session_id is not None
            self._watch(session_id, run.run_id, after=self.api.seq_before(run.run_id))

    def _watch(self, session_id: UUID, run_id: UUID, *, after: int) -> str:
        self._open.clear()
        self._unsent.clear()
        self._is_asking = False
        with interrupts() as pressed:
            stopped = 0
            events = follow(self.api, session_id, after=after, notify=self._tell)
            while run_id not in self._ended:
                event = next(events)
                if pressed.count > stopped:
                    stopped = self._stop(run_id, pressed.count)
                if event is None:
                    self._answer_open(pressed, events)
                    continue
                self.screen.show(event)
                self._note(event)
        return self._ended[run_id]

    def _tell(self, text: str) -> None:
        """Show a notice about the connection. A question that it interrupts is shown again below it."""
        if self._is_asking:
            print()
        self.screen.note(text)
        self._was_interrupted = True

    def _stop(self, run_id: UUID, presses: int) -> int:
        if presses > 1:
            raise PersonLeft
        self.screen.note("stopping the run; press Ctrl-C again to leave without waiting")
        self._open.clear()
        self.api.stop(run_id)
        return presses

    def _note(self, event: Envelope) -> None:
        if event.type == "run.finished" and event.run_id is not None:
            self._ended[event.run_id] = str(event.data["status"])
        if event.type == "human_loop.requested":
            request = HumanRequested.model_validate(event.data)
            self._open[request.request_id] = request
            self._asked[request.request_id] = event.data
        elif event.type in {"human_loop.resolved", "human_loop.applied"}:
            self._open.pop(UUID(event.data["requestId"]), None)
        elif event.type in {"run.finished", "run.cancelling", "run.retrying"}:
            self._open.clear()

    def _answer_open(self, pressed: Pressed, events: Events) -> None:
        """Answer the open requests. Return early while a reply waits to be sent again: the caller follows the log."""
        while self._open and (not self._unsent or time.monotonic() >= self._send_at):
            request = next(iter(self._open.values()))
            try:
                reply = self._unsent.get(request.request_id) or self._reply(request, pressed, events)
            except RequestSettled:
                continue
            if reply is None:
                self._open.pop(request.request_id, None)
                return
            self._send(request.request_id, reply, pressed)

    def _send(self, request_id: UUID, reply: Reply, pressed: Pressed) -> None:
        """Send a reply, and close the request. It stays open when the reply is sent later or the person asked again.

        When the API refuses a reply without a person, stop the run: it would wait for ever.
        """
        self.screen.answered(request_id)
        try:
            self.api.reply(request_id, reply)
        except (Unreachable, ApiRefused) as error:
            if isinstance(error, Unreachable) or error.passes:
                self._send_later(request_id, reply, why=str(error))
                return
            self.screen.note(str(error), style="yellow")
            self._unsent.pop(request_id, None)
            if error.code != "already_answered":
                if not self.on_terminal or self.allow:
                    pressed.count += 1
                    self._open.clear()
                return
        self._unsent.pop(request_id, None)
        self._open.pop(request_id, None)

    def _send_later(self, request_id: UUID, reply: Reply, *, why: str) -> None:
        """Keep a reply for another try after SEND_AGAIN_SECONDS, and say so once."""
        if request_id not in self._unsent:
            self.screen.note(f"{why} The answer is kept and sent again.", style="yellow")
        self._unsent[request_id] = reply
        self._send_at = time.monotonic() + SEND_AGAIN_SECONDS

    def _reply(self, request: HumanRequested, pressed: Pressed, events: Events) -> Reply | None:
        """Return the person's reply; None after Ctrl-C, which stops the run and so closes its requests.

        Raise PersonLeft at Ctrl-D or when the terminal is gone, and NobodyToAsk without a terminal: the request stays
        open. Raise RequestSettled.
        """
        alone = answer_alone(request, allow=self.allow)
        if alone is not None:
            self.screen.note(f"→ {alone.decision}")
            return alone
        if not self.on_terminal:
            raise NobodyToAsk(request)
        answer = answer_permission if request.kind == "permission" else answer_question

        def ask(question: str) -> str:
            self._await_key(question, request, pressed, events)
            with pressed.raising():
                return input(question)

        try:
            forget_typed()
            return answer(request, ask=ask, screen=self.screen)
        except (EOFError, termios.error):
            raise PersonLeft from None
        except KeyboardInterrupt:
            self.screen.note("")
            pressed.count += 1
            return None

    def _await_key(self, question: str, request: HumanRequested, pressed: Pressed, events: Events) -> None:
        """Wait until the person begins to answer, then show the events that arrived meanwhile.

        Raise RequestSettled when the request was answered elsewhere, and KeyboardInterrupt.
        """
        request_id = request.request_id
        print(question, end="", flush=True)
        before, pending_events = pressed.count, list[Envelope]()
        self._is_asking, self._was_interrupted = True, False
        with key_by_key():
            while request_id in self._open and pressed.count == before and not select([sys.stdin], [], [], 0)[0]:
                event = next(events)
                if event is not None:
                    pending_events.append(event)
                    self._note(event)
                self._ask_again(question, request_id)
        self._is_asking = False
        print("\n" if pending_events else "\r", end="", flush=True)  # input() prints the question again on this line
        for event in pending_events:
            self.screen.show(event)
        if request_id not in self._open:
            raise RequestSettled
        if pressed.count > before:
            pressed.count = before
            raise KeyboardInterrupt

    def _ask_again(self, question: str, request_id: UUID) -> None:
        """Show the question again below a notice about the connection."""
        if self._was_interrupted and request_id in self._open:
            self._was_interrupted = False
            self.screen.show_question(self._asked[request_id])
            print(question, end="", flush=True)


def forget_typed() -> None:
    """Drop what was typed before a request is shown: it answers nothing that the person has seen."""
    termios.tcflush(sys.stdin, termios.TCIFLUSH)


@contextmanager
def key_by_key() -> Iterator[None]:
    """Deliver keys before the line ends. The later reader of the line echoes them."""
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@dataclass
class Pressed:
    """Count Ctrl-C presses while the chat follows a run."""

    count: int = 0
    raises: bool = False

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        if self.raises:
            raise KeyboardInterrupt
        self.count += 1

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Raise KeyboardInterrupt at Ctrl-C while the person types, so that input() ends."""
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

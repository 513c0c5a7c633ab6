"""One session at one terminal: a prompt becomes a run, its events are shown, and what the agent asks is answered.

A request of the agent is asked of the person only when the log has nothing newer to show: so one that was answered
elsewhere meanwhile, or long ago when the log is read again, is never asked. Until the person begins to type, the log
is followed further: a question that somebody else answers goes away.
"""

from __future__ import annotations

import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from select import select
from types import FrameType
from uuid import UUID

from cli.chat.answers import NOBODY, answer_alone, answer_permission, answer_question
from cli.chat.client import Api, ApiRefused, ChatPrompt, Reply, follow
from cli.chat.screen import Screen
from schema.events import Envelope, HumanRequested

Events = Iterator[Envelope | None]


class Left(Exception):
    """The person leaves while a run goes on."""


class Settled(Exception):
    """The question at which the person sits needs no answer any more."""


@dataclass
class Talk:
    """`prompt` is what every run starts with; it names the session after the first."""

    api: Api
    screen: Screen
    prompt: ChatPrompt
    on_terminal: bool
    allow: bool
    _open: dict[UUID, HumanRequested] = field(default_factory=dict)
    _ended: dict[UUID, str] = field(default_factory=dict)

    def run(self, text: str) -> str:
        """Send a prompt and show what comes until that run has ended; its final status. Raises Left, ChatError."""
        started = self.api.start(replace(self.prompt, text=text))
        self.prompt = replace(self.prompt, session_id=started.session_id)
        return self._watch(started.session_id, started.run_id, after=started.seq)

    def catch_up(self) -> None:
        """Show the runs of the session that have not ended, from their beginning. Raises Left, ChatError."""
        session_id = self.prompt.session_id
        for run in self.api.unfinished_runs(session_id) if session_id else ():
            self.screen.note(f"› {run.prompt}", style="bold")
            assert session_id is not None
            self._watch(session_id, run.run_id, after=self.api.seq_before(run.run_id))

    def _watch(self, session_id: UUID, run_id: UUID, *, after: int) -> str:
        self._open.clear()
        with interrupts() as pressed:
            stopped = 0
            events = follow(self.api, session_id, after=after, tell=self.screen.note)
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

    def _stop(self, run_id: UUID, presses: int) -> int:
        if presses > 1:
            raise Left
        self.screen.note("stopping the run; Ctrl-C again leaves it to itself")
        self._open.clear()
        self.api.stop(run_id)
        return presses

    def _note(self, event: Envelope) -> None:
        if event.type == "run.finished" and event.run_id is not None:
            self._ended[event.run_id] = str(event.data["status"])
        if event.type == "human_loop.requested":
            request = HumanRequested.model_validate(event.data)
            self._open[request.request_id] = request
        elif event.type in {"human_loop.resolved", "human_loop.applied"}:
            self._open.pop(UUID(event.data["requestId"]), None)
        elif event.type in {"run.finished", "run.cancelling", "run.retrying"}:
            self._open.clear()

    def _answer_open(self, pressed: Pressed, events: Events) -> None:
        """An answer that the API refuses is asked for again where a person can give another; else the run would wait
        for nobody, so it is stopped."""
        while self._open:
            request = next(iter(self._open.values()))
            try:
                reply = self._reply(request, pressed, events)
            except Settled:
                continue
            self._open.pop(request.request_id, None)
            if reply is None:
                return
            try:
                self.screen.answered(request.request_id)
                self.api.reply(request.request_id, reply)
            except ApiRefused as error:
                self.screen.note(str(error), style="yellow")
                if error.code == "already_answered":
                    continue
                if not self.on_terminal or self.allow:
                    pressed.count += 1
                    return
                self._open = {request.request_id: request, **self._open}

    def _reply(self, request: HumanRequested, pressed: Pressed, events: Events) -> Reply | None:
        """None when the person pressed Ctrl-C instead: then the run is stopped, which answers everything. Raises Left
        at Ctrl-D or a terminal that is gone: the question stays open. Raises Settled."""
        if self.allow or not self.on_terminal:
            reply = answer_alone(request, allow=self.allow)
            self.screen.note(f"→ {reply.decision}" + ("" if self.allow else f": {NOBODY} (--yes allows)"))
            return reply
        answer = answer_permission if request.kind == "permission" else answer_question

        def ask(question: str) -> str:
            self._await_key(question, request.request_id, pressed, events)
            with pressed.raising():
                return input(question)

        try:
            return answer(request, ask=ask, screen=self.screen)
        except (EOFError, termios.error):
            raise Left from None
        except KeyboardInterrupt:
            self.screen.note("")
            pressed.count += 1
            return None

    def _await_key(self, question: str, request_id: UUID, pressed: Pressed, events: Events) -> None:
        """Until the person begins to answer; what comes meanwhile is shown after that. Raises Settled, and
        KeyboardInterrupt."""
        print(question, end="", flush=True)
        before, held = pressed.count, list[Envelope]()
        with key_by_key():
            while request_id in self._open and pressed.count == before and not select([sys.stdin], [], [], 0)[0]:
                event = next(events)
                if event is not None:
                    held.append(event)
                    self._note(event)
        print("\n" if held else "\r", end="", flush=True)  # the question comes again, in its place
        for event in held:
            self.screen.show(event)
        if request_id not in self._open:
            raise Settled
        if pressed.count > before:
            pressed.count = before
            raise KeyboardInterrupt


@contextmanager
def key_by_key() -> Iterator[None]:
    """Keys can be seen before their line has ended; they are shown by who reads them then."""
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


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

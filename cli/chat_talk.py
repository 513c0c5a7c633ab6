"""One session at one terminal: a prompt becomes a run, its events are shown, and what the agent asks is answered.

A request of the agent is asked of the person only when the log has nothing newer to show: so one that was answered
elsewhere meanwhile, or long ago when the log is read again, is never asked.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from uuid import UUID

from cli.chat_answers import NOBODY, answer_alone, answer_permission, answer_question
from cli.chat_screen import Screen
from cli.chat_wire import Api, Prompt, Refused, Reply, follow
from schema.events import Envelope, HumanRequested


class Left(Exception):
    """The person leaves while a run goes on."""


@dataclass
class Talk:
    """`prompt` is what every run starts with; it names the session after the first."""

    api: Api
    screen: Screen
    prompt: Prompt
    on_terminal: bool
    allow: bool
    _open: dict[UUID, HumanRequested] = field(default_factory=dict)

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
            for event in follow(self.api, session_id, after=after, tell=self.screen.note):
                if pressed.count > stopped:
                    stopped = self._stop(run_id, pressed.count)
                if event is None:
                    self._answer_open(pressed)
                    continue
                self.screen.show(event)
                self._note_request(event)
                if event.type == "run.finished" and event.run_id == run_id:
                    return str(event.data["status"])
        raise AssertionError("follow never ends by itself")

    def _stop(self, run_id: UUID, presses: int) -> int:
        if presses > 1:
            raise Left
        self.screen.note("stopping the run; Ctrl-C again leaves it to itself")
        self._open.clear()
        self.api.stop(run_id)
        return presses

    def _note_request(self, event: Envelope) -> None:
        if event.type == "human_loop.requested":
            request = HumanRequested.model_validate(event.data)
            self._open[request.request_id] = request
        elif event.type in {"human_loop.resolved", "human_loop.applied"}:
            self._open.pop(UUID(event.data["requestId"]), None)
        elif event.type in {"run.finished", "run.cancelling", "run.retrying"}:
            self._open.clear()

    def _answer_open(self, pressed: Pressed) -> None:
        """An answer that the API refuses is asked for again where a person can give another; else the run would wait
        for nobody, so it is stopped."""
        while self._open:
            request = self._open.pop(next(iter(self._open)))
            reply = self._reply(request, pressed)
            if reply is None:
                return
            try:
                self.screen.answered(request.request_id)
                self.api.reply(request.request_id, reply)
            except Refused as error:
                self.screen.note(str(error), style="yellow")
                if error.code == "already_answered":
                    continue
                if not self.on_terminal or self.allow:
                    pressed.count += 1
                    return
                self._open = {request.request_id: request, **self._open}

    def _reply(self, request: HumanRequested, pressed: Pressed) -> Reply | None:
        """None when the person pressed Ctrl-C instead: then the run is stopped, which answers everything. Raises Left
        at Ctrl-D or a terminal that is gone: the question stays open."""
        if self.allow or not self.on_terminal:
            reply = answer_alone(request, allow=self.allow)
            self.screen.note(f"→ {reply.decision}" + ("" if self.allow else f": {NOBODY} (--yes allows)"))
            return reply
        answer = answer_permission if request.kind == "permission" else answer_question
        try:
            with pressed.raising():
                return answer(request, ask=input, screen=self.screen)
        except EOFError:
            raise Left from None
        except KeyboardInterrupt:
            self.screen.note("")
            pressed.count += 1
            return None


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

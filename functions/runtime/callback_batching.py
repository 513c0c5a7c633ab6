"""Commit callbacks of several runs together.

A callback that arrives during a commit waits for the next batch; a lone callback is written at once. The batcher has no
thread: the first caller writes, then hands over to the first waiting caller, which writes the next batch. Each caller
gets its answer after the commit of its callback.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from psycopg import Error, OperationalError
from psycopg.errors import ProgramLimitExceeded, StatementTooComplex

from handlers.callbacks.append_only import AppendOnlyCall
from schema.errors import Unavailable
from schema.executor_api import CallbackAnswer

MOST_WAITING = 1000
MOST_TOGETHER = 64
WAIT_SECONDS = 30.0
TOO_MUCH = (ProgramLimitExceeded, StatementTooComplex)
"""Errors caused by one callback's content. Callbacks send no NOTIFY, so its full queue cannot be the cause."""
Write = Callable[[Sequence[AppendOnlyCall]], dict[UUID, CallbackAnswer]]

_log = structlog.get_logger("functions.runtime.callback_batching")


def _held_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(eq=False)
class _Ticket:
    """A waiting call. The batcher releases `turn` when the caller shall write, or when its outcome is set. It is a bare
    lock because waiting for an Event costs three times as much.
    """

    call: AppendOnlyCall
    turn: threading.Lock = field(default_factory=_held_lock)
    is_done: bool = False
    answer: CallbackAnswer | None = None
    failure: OperationalError | None = None


class CallbackBatcher:
    """The batcher of one process. `write` stores calls of different runs in one transaction."""

    def __init__(self, write: Write, *, most_waiting: int = MOST_WAITING, most_together: int = MOST_TOGETHER) -> None:
        self._write = write
        self._most_waiting = most_waiting
        self._most_together = most_together
        self._waiting: deque[_Ticket] = deque()
        self._is_writing = False
        self._lock = threading.Lock()

    def receive(self, call: AppendOnlyCall) -> CallbackAnswer | None:
        """Store the call and return its answer; return None when the caller has to store the call alone.

        Raises OperationalError when the database cannot be reached, Unavailable when too many calls wait.
        """
        ticket = _Ticket(call)
        if not self._writes_now(ticket) and not ticket.turn.acquire(timeout=WAIT_SECONDS):
            self._leave(ticket)
        if not ticket.is_done:
            self._write_with(ticket)
        if ticket.failure is not None:
            raise OperationalError(str(ticket.failure)) from ticket.failure
        return ticket.answer

    def _writes_now(self, ticket: _Ticket) -> bool:
        with self._lock:
            if len(self._waiting) >= self._most_waiting:
                raise Unavailable("Too many callbacks wait here. Try again shortly.", code="too_many_callbacks")
            if self._is_writing:
                self._waiting.append(ticket)
                return False
            self._is_writing = True
            return True

    def _leave(self, ticket: _Ticket) -> None:
        """Stop waiting for the call. If the batch stores it after all, a retry is recognized as a repetition."""
        with self._lock:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
            elif ticket.turn.acquire(blocking=False):
                return
        raise Unavailable("The database takes too long. Try again shortly.", code="too_many_callbacks")

    def _write_with(self, first: _Ticket) -> None:
        """Write this call together with waiting calls, then wake the next writer."""
        group = self._group(first)
        try:
            answers = self._write([ticket.call for ticket in group])
            for ticket in group:
                ticket.answer = answers.get(ticket.call.run_id)
        except Error as error:
            if isinstance(error, OperationalError) and not isinstance(error, TOO_MUCH):
                for ticket in group:
                    ticket.failure = error
                return
            # PostgreSQL refused one call's content: each caller now stores its call alone
            _log.warning(
                "the database refused a batch of callbacks; storing each alone",
                calls=len(group),
                reason=type(error).__name__,
            )
        finally:
            self._give_turn()
            for ticket in group:
                ticket.is_done = True
                if ticket is not first:
                    ticket.turn.release()

    def _group(self, first: _Ticket) -> list[_Ticket]:
        """Take waiting calls, at most one per run: a second call of a run continues the first."""
        group = {first.call.run_id: first}
        with self._lock:
            for ticket in list(self._waiting):
                if len(group) < self._most_together and ticket.call.run_id not in group:
                    group[ticket.call.run_id] = ticket
                    self._waiting.remove(ticket)
        return list(group.values())

    def _give_turn(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().turn.release()
            else:
                self._is_writing = False

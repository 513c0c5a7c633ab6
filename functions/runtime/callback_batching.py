"""Callbacks that arrive while others are being committed wait, and are then committed together; one that is alone goes
at once.

There is no thread of its own for it: whoever comes when nobody writes, writes; when done, the first of those that
came meanwhile writes for all of them. Nobody is answered before what he sent is committed.
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

from handlers.callbacks.append_only import PlainCall
from schema.errors import Unavailable
from schema.executor_api import CallbackAnswer

MOST_WAITING = 1000
MOST_TOGETHER = 64
WAIT_SECONDS = 30.0
TOO_MUCH = (ProgramLimitExceeded, StatementTooComplex)
"""Of somebody's, when callbacks are written, which notify nobody; elsewhere it may be the queue of notifications."""
Write = Callable[[Sequence[PlainCall]], dict[UUID, CallbackAnswer]]

_log = structlog.get_logger("functions.runtime.callback_batching")


def _held_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(eq=False)
class _Ticket:
    """One call's place. `turn` is held until it is its turn to write, or until there is an outcome: a bare lock, for
    an Event costs three times as much to wait for."""

    call: PlainCall
    turn: threading.Lock = field(default_factory=_held_lock)
    is_done: bool = False
    answer: CallbackAnswer | None = None
    failure: OperationalError | None = None


class CallbackBatcher:
    """One per process. `write` stores calls of different runs in one transaction."""

    def __init__(self, write: Write, *, most_waiting: int = MOST_WAITING, most_together: int = MOST_TOGETHER) -> None:
        self._write = write
        self._most_waiting = most_waiting
        self._most_together = most_together
        self._waiting: deque[_Ticket] = deque()
        self._is_writing = False
        self._lock = threading.Lock()

    def receive(self, call: PlainCall) -> CallbackAnswer | None:
        """The answer once the call is committed; None when it has to be dealt with by itself.

        Raises OperationalError when the database is away, and Unavailable when too many wait.
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
        """Too long: the call is not waited for any more. Should it be stored after all, its repetition is known."""
        with self._lock:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
            elif ticket.turn.acquire(blocking=False):
                return
        raise Unavailable("The database takes too long. Try again shortly.", code="too_many_callbacks")

    def _write_with(self, first: _Ticket) -> None:
        """Write this one and what waits, then give the turn to the first of those that came meanwhile."""
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
            # something of somebody's cannot be stored: each finds out by himself
            _log.warning("a group was refused", calls=len(group), reason=type(error).__name__)
        finally:
            self._give_turn()
            for ticket in group:
                ticket.is_done = True
                if ticket is not first:
                    ticket.turn.release()

    def _group(self, first: _Ticket) -> list[_Ticket]:
        """At most one call a run: a second one of the same run continues the first."""
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

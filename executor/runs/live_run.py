"""Run one agent turn and move its events to the spool, from where they are delivered to the control plane."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, Literal
from uuid import UUID

import structlog

from executor.agents.turn import Listener, Stop, Turn
from executor.process.children import has_children, kill_leftovers
from executor.runs.coalescing import Draft
from executor.runs.delivery import AttemptDelivery
from executor.runs.open_requests import NO_ROOM, OpenRequests
from executor.runs.outbox import Outbox
from executor.runs.sanitize import is_storable
from executor.runs.spool import Spool, SpoolThread
from schema.errors import Invalid, RunyardError
from schema.events import HumanApplied, HumanRequested, Reason, RunFinished, RunStarted, RunWarning
from schema.executor_api import Answer
from schema.wire import Wire

MARGIN_SECONDS = 5.0
"""A stopped turn may take this much longer than its grace before it is cancelled."""

MOST_LATE_EVENTS = 500
"""Events that a turn may add after its end. The rest is dropped."""

TakeTurn = Callable[[Turn, Listener, Stop], Awaitable[RunFinished]]

_log = structlog.stdlib.get_logger(__name__)


class LiveRun:
    """Run one attempt in the task of `live`. The agent's side uses it as the turn's Listener."""

    def __init__(
        self, turn: Turn, *, take_turn: TakeTurn, spool: SpoolThread, delivery: AttemptDelivery, grace_seconds: float
    ) -> None:
        self.run_id = turn.run.run_id
        self.attempt = turn.run.attempt
        self.stop = Stop(asyncio.Event(), grace_seconds)
        self._turn = turn
        self._take_turn = take_turn
        self._spool = spool
        self._stopped_for: Literal["request", "park", "shutdown", "abandoned"] | None = None
        self._carried = list(turn.run.answers)
        self._late: list[Draft] = []
        self._requests = OpenRequests()
        self._told_of_no_room = False
        self._delivery = delivery
        self._outbox = Outbox(turn.run.run_id, spool=spool, spooled=delivery.wake)
        self.is_over = False
        """The agent has ended and its end is being delivered: the session's next run may begin."""

    @property
    def is_stopping(self) -> bool:
        """Tell whether a stop, a park or a shutdown is in progress."""
        return self._stopped_for is not None

    @property
    def open_requests(self) -> list[UUID]:
        """Return the ids of the human requests that wait for an answer."""
        return self._requests.unanswered

    def request_stop(self) -> None:
        """Stop the run for the user: it ends as cancelled."""
        self._stop("request")

    def park(self) -> None:
        """Park the run: its agent ends, and its request stays open for a later attempt."""
        if self._stopped_for is None:
            self.stop.silently = True
        self._stop("park")

    def interrupt(self) -> None:
        """End the agent because the executor shuts down. The run itself is not over.

        An agent that waits for a person ends without a word, as if it were parked: a cancelled request would be gone
        from the person's list, and the agent would remember a refusal.
        """
        if self._stopped_for is None and self._requests:
            self.stop.silently = True
        self._stop("shutdown")

    def abandon(self) -> None:
        """End the agent at once and deliver nothing more: another executor or attempt has the run."""
        self._stopped_for = "abandoned"
        self._outbox.close()
        self.stop.wanted.set()

    def give_answer(self, answer: Answer) -> None:
        """Give an answer to the request that waits for it. Ignored when none waits."""
        self._requests.answer(answer)

    def say(self, type_: str, data: Wire) -> None:
        self._outbox.put(Draft(type_, data))

    def say_late(self, type_: str, data: Wire) -> None:
        if len(self._late) < MOST_LATE_EVENTS:
            self._late.append(Draft(type_, data))

    async def begin(self, started: RunStarted) -> None:
        n = await self._outbox.put_durably(Draft("run.started", started))
        await self._delivery.wait_acknowledged(n)
        await self._spool(Spool.mark_prompt_delivered, self.run_id)

    async def ask(self, request: HumanRequested) -> Answer | None:
        if self._carried:
            carried = await self._carried_for(request)
            if carried is not None:
                return carried
        draft = Draft("human_loop.requested", request)
        if not is_storable(draft):
            self._outbox.put(draft)  # the outbox replaces the event by a warning that says why
            raise Invalid(
                "The request was left out: it, or a number in it, is too large for an event.", code="request_left_out"
            )
        if not self._requests.has_room:
            self._warn_of_no_room()
            raise Invalid(NO_ROOM, code="request_left_out")
        answered = self._requests.add(request)
        try:
            await self._outbox.put_durably(draft)
            return await self._answer_unless_stopped(answered)
        finally:
            self._requests.remove(request.request_id)

    def _warn_of_no_room(self) -> None:
        if not self._told_of_no_room:
            self._told_of_no_room = True
            self.say("run.warning", RunWarning(code="request_left_out", message=NO_ROOM))

    async def live(self, delivering: asyncio.Task[None]) -> None:
        """Run until the agent has ended and its last event is in the spool. The delivery continues after that."""
        writing = asyncio.create_task(self._outbox.write())
        outcome = await self._outcome(writing, delivering)
        if has_children():
            await asyncio.to_thread(kill_leftovers, self._turn.run.session_id, self._turn.account)
        self.is_over = True
        is_parked = outcome is not None and outcome.status == "cancelled" and self._stopped_for == "park"
        if outcome is not None and not is_parked:
            self._void_carried("nothing: the agent's turn ended without asking again")
            for draft in (Draft("run.finished", outcome), *self._late):
                self._outbox.put(draft)
        self._outbox.close()
        await self._written(writing)
        if is_parked:
            await self._spool(Spool.park, self.run_id)
        self._delivery.close()

    async def _carried_for(self, request: HumanRequested) -> Answer | None:
        """Return the answer that an earlier attempt received for this very call, and use it up.

        Returns None, and voids all other answers, when the agent asks for something else.
        """
        carried = next((answer for answer in self._carried if answer.fingerprint == request.fingerprint), None)
        if carried is None:
            self._void_carried(f"nothing: the agent asked for something else: {request.title}")
            return None
        self._carried.remove(carried)
        is_first = await self._spool(Spool.use_answer, self.run_id, carried.answer)
        return carried.answer if is_first else None

    def _void_carried(self, outcome: str) -> None:
        """Report that answers from an earlier attempt were not used. `told` says why."""
        for carried in self._carried:
            self.say("human_loop.applied", HumanApplied(request_id=carried.request_id, outcome="void", told=outcome))
        self._carried.clear()

    async def _outcome(self, writing: asyncio.Task[None], delivering: asyncio.Task[None]) -> RunFinished | None:
        """Return how the turn ended, or None when its end must not be reported."""
        acting = asyncio.create_task(self._act())
        stopping = asyncio.create_task(self.stop.wanted.wait())
        await asyncio.wait({acting, stopping, writing, delivering}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        self.stop.wanted.set()
        if self._stopped_for != "abandoned":
            await asyncio.wait({acting}, timeout=self.stop.grace_seconds + MARGIN_SECONDS)
        return self._unless_interrupted(await self._cancel_if_running(acting))

    async def _act(self) -> RunFinished:
        try:
            return await self._take_turn(self._turn, self, self.stop)
        except RunyardError as error:
            return _failed(error.problem_code, error.detail)
        except Exception:  # noqa: BLE001 - the outermost loop of a turn: an error ends this turn only
            _log.exception("turn.broke")
            return _failed("executor_error", "The executor failed unexpectedly; its log has the details.")

    async def _cancel_if_running(self, acting: asyncio.Task[RunFinished]) -> RunFinished:
        """Return the turn's outcome. A turn that did not end by itself is cancelled, which kills its agent."""
        if not acting.done():
            acting.cancel()
            await asyncio.wait({acting}, timeout=MARGIN_SECONDS)
        if acting.done() and not acting.cancelled():
            return acting.result()
        return RunFinished(
            status="cancelled",
            reason=Reason(code="stopped_by_force", message="The agent did not stop in time and was killed."),
        )

    def _unless_interrupted(self, outcome: RunFinished) -> RunFinished | None:
        """Return None for a turn that the executor's shutdown interrupted: the next executor reports it as lost."""
        cut_short = self._stopped_for == "shutdown" and outcome.status != "succeeded"
        return None if cut_short or self._stopped_for == "abandoned" else outcome

    async def _answer_unless_stopped(self, answered: asyncio.Future[Answer]) -> Answer | None:
        stopping = asyncio.create_task(self._stopped_with_notice())
        either: set[asyncio.Future[Any]] = {answered, stopping}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        return answered.result() if answered.done() else None

    async def _stopped_with_notice(self) -> None:
        """Wait for a stop that the agent learns of. A silent stop leaves the agent waiting until it is killed."""
        await self.stop.wanted.wait()
        if self.stop.silently:
            await asyncio.Event().wait()

    async def _written(self, writing: asyncio.Task[None]) -> None:
        try:
            await writing
        except sqlite3.Error as error:
            _log.exception("spool.broken")
            with contextlib.suppress(sqlite3.Error):
                await self._spool(Spool.refuse, self.run_id, f"The executor could not write the run's events: {error}")

    def _stop(self, why: Literal["request", "park", "shutdown"]) -> None:
        if self._stopped_for is None or (self._stopped_for == "park" and why == "request"):
            self._stopped_for = why
        self.stop.wanted.set()


def _failed(code: str, message: str) -> RunFinished:
    return RunFinished(status="failed", reason=Reason(code=code, message=message))

"""Hold the runs of this executor: at most one is live, and older ones may still have events to deliver."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from executor.agents.turn import Turn
from executor.process.account import EXECUTOR_ACCOUNT, AgentAccount
from executor.process.children import kill_leftovers
from executor.runs.coalescing import Draft
from executor.runs.delivery import AttemptDelivery, trace_headers
from executor.runs.fences import is_known_start
from executor.runs.live_run import LiveRun, TakeTurn
from executor.runs.replies import EventsRefused, TakenOver
from executor.runs.spool import Spool, SpooledRun, SpoolThread
from schema.errors import NotFound, Unavailable
from schema.events import AgentLost, RunWarning
from schema.executor_api import Answer, PendingCallback, RenewedCallbacks, RunState, StartRun
from schema.logs import log_context, trace_id
from schema.secret_keys import credential_id

if TYPE_CHECKING:
    import httpx

LAST_DELIVERY_SECONDS = 2.0
LOST_END = "The files as the run before left them could not be kept apart from this run's."

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class ExecutorIdentity:
    """Identify an executor: its session and epoch, its folders and the limits of its agents."""

    session_id: UUID
    epoch: int
    executor_id: str
    workspace: Path
    home: Path
    grace_seconds: float
    heartbeat_seconds: float
    account: AgentAccount = EXECUTOR_ACCOUNT
    disk_bytes: int = 0


class Runs:
    """Start, stop, park and recover runs. Its methods raise the errors that the HTTP routes answer with."""

    def __init__(
        self,
        identity: ExecutorIdentity,
        *,
        spool: SpoolThread,
        client: Callable[[], httpx.AsyncClient],
        take_turn: TakeTurn,
        admitting: Callable[[StartRun], contextlib.AbstractAsyncContextManager[str | None]],
    ) -> None:
        """A run begins within a block of `admitting`, which raises a Conflict when its workspace is not ready.

        It gives a sentence when the end of the run before could not be kept apart.
        """
        self._identity = identity
        self._admitting = admitting
        self._spool = spool
        self._client = client
        self._take_turn = take_turn
        self._live: LiveRun | None = None
        self._live_task: asyncio.Task[None] | None = None
        self._deliveries: dict[UUID, tuple[AttemptDelivery, asyncio.Task[None]]] = {}
        self._changing = asyncio.Lock()
        self._ending = False

    @property
    def live(self) -> LiveRun | None:
        """The run whose agent lives now."""
        return self._live if self._live is not None and not self._live.is_over else None

    @property
    def is_idle(self) -> bool:
        return self.live is None and not self._deliveries

    async def undelivered(self) -> int:
        """Return how many events wait for delivery."""
        return await self._spool(Spool.undelivered)

    async def start(self, start: StartRun) -> tuple[RunState, bool]:
        """Start a run. Return its state, and whether it begins now: False when the same attempt was accepted before."""
        async with self._changing:
            if self._ending:
                raise Unavailable("The executor is shutting down. Retry with the next executor.")
            spooled = await self._spool(Spool.run, start.run_id)
            if is_known_start(
                start,
                spooled,
                session_id=self._identity.session_id,
                epoch=max(self._identity.epoch, await self._spool(Spool.highest_epoch)),
                live_run_id=self.live.run_id if self.live else None,
            ):
                return self._state(await self._spool(Spool.refresh, start)), False
            async with self._admitting(start) as lost_end:
                await self._abandon_older_attempt(start.run_id)
                refused_claim = spooled.refused_claim if spooled else 0
                run = await self._spool(Spool.begin_attempt, start, refused_claim=refused_claim)
                self._begin(run, start, lost_end)
            return self._state(run), True

    async def stop(self, run_id: UUID, claim: int) -> RunState:
        """Stop a live run, and refuse later starts of this run with this claim or a lower one."""
        async with self._changing:
            run = await self._spool(Spool.remember_stop, run_id, claim)
            if self.live is not None and self.live.run_id == run_id:
                self.live.request_stop()
            return self._state(run)

    async def park(self, run_id: UUID, claim: int) -> RunState:
        """Park a live run: end its agent but not the run. Refuses later starts as `stop` does."""
        async with self._changing:
            run = await self._spool(Spool.remember_stop, run_id, claim)
            if self.live is not None and self.live.run_id == run_id:
                self.live.park()
            return self._state(run)

    async def state(self, run_id: UUID) -> RunState:
        """Return the run's state. Raises NotFound for an unknown run."""
        run = await self._spool(Spool.run, run_id)
        if run is None:
            raise NotFound("This executor does not know the run. Start it again.")
        return self._state(run)

    async def answer(self, run_id: UUID, answer: Answer) -> bool:
        """Store an answer and return whether it is the first to this request. Raises NotFound when nothing waits for
        it."""
        if await self._spool(Spool.is_answered, run_id, answer.request_id):
            return False
        live = self.live
        if live is None or live.run_id != run_id or answer.request_id not in live.open_requests:
            raise NotFound("No live run waits for an answer to this request.", code="request_unknown")
        is_first = await self._spool(Spool.store_answer, run_id, answer)
        live.give_answer(answer)
        return is_first

    async def pending_callbacks(self) -> list[PendingCallback]:
        """Return the runs that still call back: the live run, and runs with undelivered events."""
        spooled = [await self._spool(Spool.run, run_id) for run_id in list(self._deliveries)]
        return [
            PendingCallback(
                run_id=run.run_id, attempt=run.attempt, url=run.callback_url, key_id=credential_id(run.callback_key)
            )
            for run in spooled
            if run is not None
        ]

    async def renew_callbacks(self, renewed: RenewedCallbacks) -> None:
        """Change where runs call back and how they sign, and deliver at once what waits for it."""
        for item in renewed.items:
            await self._spool(Spool.renew_callback, item)
            if item.run_id in self._deliveries:
                self._deliveries[item.run_id][0].skip_pause()

    async def recover(self) -> None:
        """Kill an earlier executor's processes and report its runs as lost. Call this before any run starts."""
        if await self._spool(Spool.is_new):
            return
        await asyncio.to_thread(kill_leftovers, self._identity.session_id, self._identity.account)
        for spooled in await self._spool(Spool.runs_to_recover):
            run = await self._as_lost(spooled) if spooled.state in {"starting", "running"} else spooled
            delivery = self._new_delivery(run)
            delivery.close()
            self._deliver(delivery, run)

    async def shut_down(self) -> None:
        """Stop the agent, keep undelivered events in the spool, and try once more to deliver them."""
        self._ending = True
        async with self._changing:
            if self._live is not None and self._live_task is not None:
                self._live.interrupt()
                await asyncio.wait({self._live_task})
        tasks = {task for _, task in self._deliveries.values()}
        for delivery, _ in self._deliveries.values():
            delivery.close()
            delivery.skip_pause()
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=LAST_DELIVERY_SECONDS)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    def _begin(self, run: SpooledRun, start: StartRun, lost_end: str | None) -> None:
        identity = self._identity
        turn = Turn(
            run=start,
            workspace=identity.workspace,
            home=identity.home,
            account=identity.account,
            disk_bytes=identity.disk_bytes,
        )
        delivery = self._new_delivery(run)
        live = LiveRun(
            turn, take_turn=self._take_turn, spool=self._spool, delivery=delivery, grace_seconds=identity.grace_seconds
        )
        if lost_end is not None:
            live.say("run.warning", RunWarning(code="end_not_kept", message=f"{LOST_END} {lost_end}"))
        self._live = live
        self._live_task = asyncio.create_task(self._live_on(live, run, self._deliver(delivery, run)))

    async def _live_on(self, live: LiveRun, run: SpooledRun, delivering: asyncio.Task[None]) -> None:
        with self._log_context(run):
            _log.info("run.begun", attempt=run.attempt)
            try:
                await live.live(delivering)
            except Exception:  # noqa: BLE001 - the outermost loop of a run: the executor goes on
                _log.exception("run.broke")
                live.abandon()
                delivering.cancel()
            finally:
                live.is_over = True
            _log.info("run.ended", attempt=run.attempt)

    def _new_delivery(self, run: SpooledRun) -> AttemptDelivery:
        return AttemptDelivery(
            run,
            spool=self._spool,
            client=self._client,
            headers=trace_headers(run, session_id=self._identity.session_id, executor_id=self._identity.executor_id),
            heartbeat_seconds=self._identity.heartbeat_seconds,
            stop_requested=partial(self._stop_requested, run),
        )

    def _deliver(self, delivery: AttemptDelivery, run: SpooledRun) -> asyncio.Task[None]:
        task = asyncio.create_task(self._deliver_on(delivery, run))
        self._deliveries[run.run_id] = delivery, task
        return task

    async def _deliver_on(self, delivery: AttemptDelivery, run: SpooledRun) -> None:
        with self._log_context(run):
            try:
                ending = await delivery.deliver()
            except Exception:  # noqa: BLE001 - the outermost loop of a delivery: the next executor resumes it
                _log.exception("delivery.broke")
                ending = None
            finally:
                self._forget(delivery, run.run_id)
        live = self._live_of(run)
        if live is not None and isinstance(ending, TakenOver):
            live.abandon()
        if live is not None and isinstance(ending, EventsRefused):
            live.request_stop()

    def _stop_requested(self, run: SpooledRun) -> None:
        live = self._live_of(run)
        if live is not None:
            live.request_stop()

    def _live_of(self, run: SpooledRun) -> LiveRun | None:
        """Return the live run if it is this attempt of this run, else None."""
        live = self.live
        return live if live and (live.run_id, live.attempt) == (run.run_id, run.attempt) else None

    async def _abandon_older_attempt(self, run_id: UUID) -> None:
        """Abandon an older attempt of the run and its delivery."""
        if self._live is not None and self._live_task is not None and self._live.run_id == run_id:
            self._live.abandon()
            await asyncio.wait({self._live_task})
        if run_id in self._deliveries:
            _, task = self._deliveries[run_id]
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _as_lost(self, run: SpooledRun) -> SpooledRun:
        how_far = "after" if run.prompt_delivered else "before"
        warning = AgentLost(
            message=f"The executor restarted {how_far} the agent received the prompt. The agent is gone.",
            prompt_delivered=run.prompt_delivered,
            taken=await self._spool(Spool.taken_answers, run.run_id),
        )
        return await self._spool(Spool.mark_lost, run.run_id, Draft("run.warning", warning))

    def _state(self, run: SpooledRun) -> RunState:
        live = self._live_of(run)
        state = RunState(
            run_id=run.run_id,
            state=run.state,
            attempt=run.attempt,
            claim=run.claim,
            last_n=run.last_n,
            acked_n=run.acked_n,
            prompt_delivered=run.prompt_delivered,
            open_requests=live.open_requests if live else [],
            reason=run.reason,
        )
        if live is None and run.parked:
            is_told = run.run_id not in self._deliveries
            return state.model_copy(update={"state": "parked" if is_told else "stopping"})
        if live is None and run.state in ("starting", "running") and not self._is_ending(run):
            return state.model_copy(
                update={"state": "refused", "reason": "The executor could not write the run's end to its spool."}
            )
        if live is None:
            return state
        finer = "stopping" if live.is_stopping else "waiting" if live.open_requests else run.state
        return state.model_copy(update={"state": finer})

    def _is_ending(self, run: SpooledRun) -> bool:
        """Tell whether the run's agent has ended and its last event is on its way to the spool."""
        ending, live_task = self._live, self._live_task
        if ending is None or live_task is None or live_task.done():
            return False
        return (ending.run_id, ending.attempt) == (run.run_id, run.attempt)

    def _forget(self, delivery: AttemptDelivery, run_id: UUID) -> None:
        if run_id in self._deliveries and self._deliveries[run_id][0] is delivery:
            del self._deliveries[run_id]

    def _log_context(self, run: SpooledRun) -> contextlib.AbstractContextManager[None]:
        return log_context(traceId=trace_id(run.traceparent), runId=run.run_id)

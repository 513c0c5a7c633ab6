"""Delivery: a run's spooled events go to its control plane, in order, at least once, for as long as it takes.

One call at a time. While the control plane is away the run goes on and its events wait in the spool.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from executor.runs.replies import Accepted, CallbackReply, EventsRefused, GoOnFrom, NotOurs, TryAgain, read_reply
from executor.runs.spool import Spool, SpooledEvent, SpooledRun, SpoolThread
from schema.logs import trace_id

if TYPE_CHECKING:
    import httpx

BATCH_EVENTS = 500
BATCH_BYTES = 512 * 1024
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0

_log = structlog.stdlib.get_logger(__name__)


class AttemptDelivery:
    """The delivery of one attempt. Live until `close`: then it ends as soon as everything is acknowledged."""

    def __init__(
        self,
        run: SpooledRun,
        *,
        spool: SpoolThread,
        client: Callable[[], httpx.AsyncClient],
        headers: dict[str, str],
        heartbeat_seconds: float,
        stop_requested: Callable[[], None],
    ) -> None:
        self._run = run
        self._spool = spool
        self._client = client
        self._headers = headers
        self._heartbeat_seconds = heartbeat_seconds
        self._stop_requested = stop_requested
        self._acked_n = run.acked_n
        self._closed = False
        self._failures = 0
        self._sent_at = time.monotonic()
        self._work = asyncio.Event()
        self._hurried = asyncio.Event()
        self._progress = asyncio.Condition()

    def wake(self) -> None:
        """There is more in the spool."""
        self._work.set()

    def close(self) -> None:
        """No more events will come."""
        self._closed = True
        self._work.set()

    def hurry(self) -> None:
        """Do not wait out the present pause."""
        self._hurried.set()

    async def wait_acknowledged(self, n: int) -> None:
        """Until the control plane has event `n`."""
        async with self._progress:
            await self._progress.wait_for(lambda: self._acked_n >= n)

    async def deliver(self) -> NotOurs | EventsRefused | None:
        """None when all is delivered; else why nothing more of this attempt can be."""
        while True:
            self._work.clear()
            try:
                events = await self._spool(
                    Spool.unacknowledged, self._run.run_id, most=BATCH_EVENTS, most_bytes=BATCH_BYTES
                )
                if not events and self._closed:
                    return None
                if not events and await self._woken_before_heartbeat():
                    continue
                ending = await self._act_on(await self._send(events), events)
                if ending is not None:
                    await self._give_up(ending)
                    return ending
            except sqlite3.Error as error:
                await self._back_off(TryAgain(f"the spool: {error}"))

    async def _woken_before_heartbeat(self) -> bool:
        remaining = self._sent_at + self._heartbeat_seconds - time.monotonic()
        try:
            await asyncio.wait_for(self._work.wait(), max(remaining, 0))
        except TimeoutError:
            return False
        return True

    async def _act_on(self, reply: CallbackReply, events: list[SpooledEvent]) -> NotOurs | EventsRefused | None:
        match reply:
            case Accepted(stop_requested=stop_requested):
                self._failures = 0
                if events:
                    await self._acknowledge(events[-1].n)
                if stop_requested:
                    self._stop_requested()
                return None
            case GoOnFrom(n=n):
                return await self._go_on_from(n, events)
            case TryAgain():
                await self._back_off(reply)
                return None
            case NotOurs() | EventsRefused():
                return reply

    async def _go_on_from(self, n: int, events: list[SpooledEvent]) -> EventsRefused | None:
        """The control plane may have more than we know of (its answer was lost), never less than it acknowledged."""
        known = await self._spool(Spool.run, self._run.run_id)
        last_n = known.last_n if known else 0
        if not self._acked_n < n <= last_n + 1:
            return EventsRefused(f"The control plane expects event {n}, and we have {self._acked_n + 1} to {last_n}")
        if events and n == events[0].n:
            await self._back_off(TryAgain(f"told to go on from {n}, which we did"))
        else:
            await self._acknowledge(n - 1)
        return None

    async def _acknowledge(self, n: int) -> None:
        await self._spool(Spool.acknowledge, self._run.run_id, n)
        async with self._progress:
            self._acked_n = n
            self._progress.notify_all()

    async def _send(self, events: list[SpooledEvent]) -> CallbackReply:
        import httpx

        from schema.signature import signed_headers

        known = await self._spool(Spool.run, self._run.run_id)
        run = known or self._run
        body = _body(run, events)
        self._sent_at = time.monotonic()
        try:
            headers = {**self._headers, **signed_headers(run.callback_key, body)}
            answer = await self._client().post(run.callback_url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return TryAgain(f"{type(error).__name__}: {error}")
        except (httpx.InvalidURL, ValueError):
            return EventsRefused("The callback's address or key cannot be used")
        return read_reply(answer.status_code, answer.headers, answer.content)

    async def _back_off(self, reply: TryAgain) -> None:
        """Growing pauses, so that a control plane that comes back is not run over; about one line a minute."""
        delay = min(FIRST_DELAY * 2 ** min(self._failures, 16), LONGEST_DELAY) * random.uniform(0.5, 1)  # noqa: S311
        self._failures += 1
        level = logging.WARNING if self._failures == 1 or self._failures % 20 == 0 else logging.DEBUG
        _log.log(level, "callback.retried", why=reply.why, failures=self._failures)
        try:
            await asyncio.wait_for(self._hurried.wait(), delay if reply.after is None else reply.after)
        except TimeoutError:
            return
        self._hurried.clear()

    async def _give_up(self, ending: NotOurs | EventsRefused) -> None:
        if isinstance(ending, NotOurs):
            _log.warning("run.not_ours", why=ending.why)
            await self._spool(Spool.drop, self._run.run_id, ending.why)
        else:
            _log.error("run.refused", why=ending.why)
            await self._spool(Spool.refuse, self._run.run_id, ending.why)


def trace_headers(run: SpooledRun, *, session_id: object, executor_id: str) -> dict[str, str]:
    """What goes along with every callback, so that one trace can be followed through."""
    headers = {
        "content-type": "application/json",
        "x-trace-session-id": str(session_id),
        "x-trace-run-id": str(run.run_id),
        "x-trace-executor-id": executor_id,
        "x-trace-operation": "run.callback",
    }
    if run.traceparent is not None:
        headers |= {"traceparent": run.traceparent, "x-trace-id": trace_id(run.traceparent) or ""}
    return headers


def _body(run: SpooledRun, events: list[SpooledEvent]) -> bytes:
    said = ",".join(event.to_json_text() for event in events)
    return f'{{"epoch":{run.epoch},"attempt":{run.attempt},"events":[{said}]}}'.encode()

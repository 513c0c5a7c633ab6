"""Deliver a run's spooled events to its control plane: in order, at least once, retrying until they are accepted.

It sends one call at a time. While the control plane is unreachable, the run goes on and its events wait in the spool.
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

from executor.runs.replies import Accepted, CallbackReply, EventsRefused, ResumeFrom, RetryLater, TakenOver, read_reply
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
    """Deliver the events of one attempt. After `close` the delivery ends as soon as every event is acknowledged."""

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
        self._skip_pause = asyncio.Event()
        self._progress = asyncio.Condition()

    def wake(self) -> None:
        """Signal that the spool has more events."""
        self._work.set()

    def close(self) -> None:
        """Signal that no more events will come."""
        self._closed = True
        self._work.set()

    def skip_pause(self) -> None:
        """Skip the current pause between retries."""
        self._skip_pause.set()

    async def wait_acknowledged(self, n: int) -> None:
        """Wait until the control plane has acknowledged event `n`."""
        async with self._progress:
            await self._progress.wait_for(lambda: self._acked_n >= n)

    async def deliver(self) -> TakenOver | EventsRefused | None:
        """Deliver until done. Return None when all is delivered, else the reply that ended the delivery."""
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
                await self._back_off(RetryLater(f"The spool failed: {error}."))

    async def _woken_before_heartbeat(self) -> bool:
        remaining = self._sent_at + self._heartbeat_seconds - time.monotonic()
        try:
            await asyncio.wait_for(self._work.wait(), max(remaining, 0))
        except TimeoutError:
            return False
        return True

    async def _act_on(self, reply: CallbackReply, events: list[SpooledEvent]) -> TakenOver | EventsRefused | None:
        match reply:
            case Accepted(stop_requested=stop_requested):
                self._failures = 0
                if events:
                    await self._acknowledge(events[-1].n)
                if stop_requested:
                    self._stop_requested()
                return None
            case ResumeFrom(n=n):
                return await self._resume_from(n, events)
            case RetryLater():
                await self._back_off(reply)
                return None
            case TakenOver() | EventsRefused():
                return reply

    async def _resume_from(self, n: int, events: list[SpooledEvent]) -> EventsRefused | None:
        """Continue from the event that the control plane expects.

        A lost answer leaves the control plane ahead of the spool's count. It never expects an event that it
        acknowledged.
        """
        spooled = await self._spool(Spool.run, self._run.run_id)
        last_n = spooled.last_n if spooled else 0
        if not self._acked_n < n <= last_n + 1:
            return EventsRefused(f"The control plane expects event {n}; the spool has {self._acked_n + 1} to {last_n}.")
        if events and n == events[0].n:
            await self._back_off(RetryLater(f"The control plane expects event {n}, which was just sent."))
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

        from schema.signature import ATTEMPT_HEADER, signed_headers

        spooled = await self._spool(Spool.run, self._run.run_id)
        run = spooled or self._run
        body = _body(run, events)
        self._sent_at = time.monotonic()
        try:
            headers = {**self._headers, **signed_headers(run.callback_key, body), ATTEMPT_HEADER: str(run.attempt)}
            answer = await self._client().post(run.callback_url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return RetryLater(f"The call failed: {type(error).__name__}: {error}")
        except (httpx.InvalidURL, ValueError):
            return EventsRefused("The callback's address or key is invalid.")
        return read_reply(answer.status_code, answer.headers, answer.content)

    async def _back_off(self, reply: RetryLater) -> None:
        """Pause with growing delays, so that a returning control plane is not overloaded. Logs about one warning a
        minute."""
        delay = min(FIRST_DELAY * 2 ** min(self._failures, 16), LONGEST_DELAY) * random.uniform(0.5, 1)  # noqa: S311
        self._failures += 1
        level = logging.WARNING if self._failures == 1 or self._failures % 20 == 0 else logging.DEBUG
        _log.log(level, "callback.retried", why=reply.why, failures=self._failures)
        try:
            await asyncio.wait_for(self._skip_pause.wait(), delay if reply.after is None else reply.after)
        except TimeoutError:
            return
        self._skip_pause.clear()

    async def _give_up(self, ending: TakenOver | EventsRefused) -> None:
        if isinstance(ending, TakenOver):
            _log.warning("run.taken_over", why=ending.why)
            await self._spool(Spool.drop, self._run.run_id, ending.why)
        else:
            _log.error("run.refused", why=ending.why)
            await self._spool(Spool.refuse, self._run.run_id, ending.why)


def trace_headers(run: SpooledRun, *, session_id: object, executor_id: str) -> dict[str, str]:
    """Return the headers of every callback, so that one trace covers the whole run."""
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
    events_json = ",".join(event.to_json_text() for event in events)
    return f'{{"epoch":{run.epoch},"attempt":{run.attempt},"events":[{events_json}]}}'.encode()

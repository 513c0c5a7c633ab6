"""Spool a run's events: make them durable on the workspace's volume before they are sent.

The spool is one SQLite file. Every change is a transaction that is on disk when the call returns. The spool numbers
events (`n`) from 1 per attempt, without holes. Use Spool in one thread only; SpoolThread provides it.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Concatenate, Literal, ParamSpec, TypeVar
from uuid import UUID

from executor.runs.coalescing import Draft
from executor.runs.sanitize import storable
from schema.events import HumanRequested, RunFinished
from schema.executor_api import Answer, RenewedCallback, StartRun

RUNS_KEPT = 1000
"""Number of finished and refused runs that the spool remembers, so that it recognizes a late duplicate."""
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SpooledRun:
    """Describe a run as the spool knows it.

    In the states `finished`, `lost` and `refused` the run has no live agent. A `parked` run is finished in this
    executor only: it continues later.
    """

    run_id: UUID
    attempt: int
    claim: int
    refused_claim: int
    epoch: int
    state: Literal["starting", "running", "finished", "lost", "refused"]
    callback_url: str
    callback_key: str
    traceparent: str | None
    prompt_delivered: bool
    last_n: int
    acked_n: int
    reason: str | None
    parked: bool


@dataclass(frozen=True)
class SpooledEvent:
    """Hold one numbered event. `data` is the JSON text to send."""

    n: int
    id: str
    type: str
    at: str
    data: str

    def to_json_text(self) -> str:
        return f'{{"id":"{self.id}","n":{self.n},"type":"{self.type}","at":"{self.at}","data":{self.data}}}'


class Spool:
    """Read and write an open spool. Methods raise sqlite3.Error when the disk is full or broken."""

    def __init__(self, file: Path) -> None:
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 5000"):
            self._db.execute(f"PRAGMA {pragma}")
        with self._transaction():
            for statement in ("create_runs", "create_events", "create_requests", "create_requests_run"):
                self._do(statement)

    def close(self) -> None:
        self._db.close()

    def run(self, run_id: UUID) -> SpooledRun | None:
        """Return the run, or None when the spool does not know it."""
        row = self._do("run_by_id", run_id=str(run_id)).fetchone()
        return None if row is None else _run(row)

    def is_new(self) -> bool:
        """Tell whether no run has ever been recorded."""
        return self._do("any_run").fetchone() is None

    def runs_to_recover(self) -> list[SpooledRun]:
        """Return the runs that were live, and those with unacknowledged events, oldest first."""
        return [_run(row) for row in self._do("runs_to_recover")]

    def highest_epoch(self) -> int:
        """Return the highest epoch of any run, or 0."""
        return int(self._do("highest_epoch").fetchone()[0])

    def undelivered(self) -> int:
        """Return how many events wait for the control plane."""
        return int(self._do("undelivered").fetchone()[0])

    def begin_attempt(self, start: StartRun, *, refused_claim: int) -> SpooledRun:
        """Record a new attempt. It replaces the run's older attempt and drops that attempt's undelivered events."""
        with self._transaction():
            self._do("forget_old_runs", kept=RUNS_KEPT)
            self._do("delete_run", run_id=str(start.run_id))
            self._do(
                "insert_run",
                run_id=str(start.run_id),
                attempt=start.attempt,
                claim=start.claim,
                refused_claim=refused_claim,
                epoch=start.epoch,
                callback_url=start.callback.url,
                callback_key=start.callback.key,
                traceparent=start.traceparent,
            )
        return self._known(start.run_id)

    def refresh(self, start: StartRun) -> SpooledRun:
        """Record that the same attempt was sent again: its claim may be higher and its key rotated."""
        self._do(
            "refresh_run",
            run_id=str(start.run_id),
            claim=start.claim,
            callback_url=start.callback.url,
            callback_key=start.callback.key,
        )
        return self._known(start.run_id)

    def renew_callback(self, renewed: RenewedCallback) -> None:
        """Record where the attempt calls back from now on and how it signs. Another attempt stays as it is."""
        self._do(
            "renew_callback",
            run_id=str(renewed.run_id),
            attempt=renewed.attempt,
            callback_url=renewed.callback.url,
            callback_key=renewed.callback.key,
        )

    def remember_stop(self, run_id: UUID, claim: int) -> SpooledRun:
        """Refuse from now on every start of this run with this claim or a lower one."""
        self._do("remember_stop", run_id=str(run_id), claim=claim)
        return self._known(run_id)

    def append(self, run_id: UUID, drafts: list[Draft]) -> list[int]:
        """Number and store the events, and return their numbers. Also record the requests and the end that they
        carry."""
        with self._transaction():
            return self._append(run_id, drafts)

    def mark_prompt_delivered(self, run_id: UUID) -> None:
        """Record that the agent may have received the prompt."""
        self._do("mark_prompt_delivered", run_id=str(run_id))

    def park(self, run_id: UUID) -> None:
        """Record that the run's agent has ended and this attempt has no more events."""
        self._do("park", run_id=str(run_id))

    def mark_lost(self, run_id: UUID, warning: Draft) -> SpooledRun:
        """Record that the run's agent is gone, with the warning as its next event."""
        with self._transaction():
            self._append(run_id, [warning])
            self._do("mark_lost", run_id=str(run_id))
        return self._known(run_id)

    def refuse(self, run_id: UUID, reason: str) -> None:
        """Record that the run's events cannot be delivered. They stay in the spool for inspection."""
        self._do("refuse", run_id=str(run_id), reason=reason)

    def drop(self, run_id: UUID, reason: str) -> None:
        """Drop the run's events: another executor or attempt has the run."""
        with self._transaction():
            self._do("refuse", run_id=str(run_id), reason=reason)
            self._do("drop_events", run_id=str(run_id))
            self._do("drop_counts", run_id=str(run_id))

    def unacknowledged(self, run_id: UUID, *, most: int, most_bytes: int) -> list[SpooledEvent]:
        """Return the next events to send, in order. A single event may be larger than `most_bytes`."""
        batch: list[SpooledEvent] = []
        size = 0
        acked_n = self._known(run_id).acked_n
        for row in self._do("unacknowledged", run_id=str(run_id), acked_n=acked_n, most=most):
            event = SpooledEvent(*row)
            size += len(event.data.encode()) + 200
            if batch and size > most_bytes:
                break
            batch.append(event)
        return batch

    def acknowledge(self, run_id: UUID, n: int) -> None:
        """Record that the control plane has every event up to `n`."""
        with self._transaction():
            self._do("acknowledge", run_id=str(run_id), n=n)
            self._do("delete_acknowledged", run_id=str(run_id), n=n)

    def is_answered(self, run_id: UUID, request_id: UUID) -> bool:
        """Tell whether the request has an answer. False also for an unknown request."""
        row = self._do("is_answered", run_id=str(run_id), request_id=str(request_id)).fetchone()
        return row is not None and bool(row[0])

    def store_answer(self, run_id: UUID, answer: Answer) -> bool:
        """Store the answer and return whether it is the first to a known request."""
        stored = self._do(
            "store_answer",
            run_id=str(run_id),
            request_id=str(answer.request_id),
            answer=answer.model_dump_json(by_alias=True),
        )
        return stored.rowcount == 1

    def use_answer(self, run_id: UUID, answer: Answer) -> bool:
        """Use an answer from an earlier attempt and return whether it was unused. From now on the agent may have
        received it."""
        used = self._do(
            "use_answer",
            run_id=str(run_id),
            request_id=str(answer.request_id),
            answer=answer.model_dump_json(by_alias=True),
        )
        return used.rowcount == 1

    def taken_answers(self, run_id: UUID) -> list[UUID]:
        """Return the requests with stored answers: the agent may have received them."""
        return [UUID(row[0]) for row in self._do("taken_answers", run_id=str(run_id))]

    def _append(self, run_id: UUID, drafts: list[Draft]) -> list[int]:
        last_n = self._known(run_id).last_n
        numbers = list(range(last_n + 1, last_n + 1 + len(drafts)))
        for n, draft in zip(numbers, drafts, strict=True):
            self._append_one(str(run_id), n, draft)
        self._do("advance", run_id=str(run_id), last_n=last_n + len(drafts))
        return numbers

    def _append_one(self, run_id: str, n: int, draft: Draft) -> None:
        type_, data = storable(draft)
        self._do("insert_event", run_id=run_id, n=n, id=str(draft.id), type=type_, at=draft.at.isoformat(), data=data)
        if isinstance(draft.data, HumanRequested):
            self._do("insert_request", request_id=str(draft.data.request_id), run_id=run_id)
        if isinstance(draft.data, RunFinished):
            self._do("finish", run_id=run_id, outcome=data)

    def _known(self, run_id: UUID) -> SpooledRun:
        run = self.run(run_id)
        if run is None:
            raise LookupError(f"run {run_id} is not in the spool")
        return run

    def _do(self, name: str, **parameters: object) -> sqlite3.Cursor:
        return self._db.execute(_statements()[name], parameters)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            yield


class SpoolThread:
    """Own the only thread that uses a spool: `await spool(Spool.append, run_id, drafts)`."""

    def __init__(self, file: Path) -> None:
        """Open the spool. Raises sqlite3.Error when that fails."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._spool = self._thread.submit(Spool, file).result()

    async def __call__(self, act: Callable[Concatenate[Spool, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        acting = partial(act, self._spool, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, acting)

    def close(self) -> None:
        """Finish pending calls, then close the spool."""
        self._thread.submit(self._spool.close).result()
        self._thread.shutdown()


def _run(row: sqlite3.Row) -> SpooledRun:
    truths = {name: bool(row[name]) for name in ("prompt_delivered", "parked")}
    return SpooledRun(**{**row, **truths, "run_id": UUID(row["run_id"])})


@cache
def _statements() -> dict[str, str]:
    parts = _NAME.split(Path(__file__).with_suffix(".sql").read_text())
    return dict(zip(parts[1::2], parts[2::2], strict=True))

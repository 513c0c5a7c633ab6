"""The spool: what a run has said, durable on the workspace's volume before it is sent anywhere.

One SQLite file; every change is a transaction that is on the disk when the call returns. `n` is given here, from 1 per
attempt and without holes. Spool is used in one thread alone; SpoolThread is that thread.
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
from schema.executor_api import Answer, StartRun

RUNS_KEPT = 1000
"""Finished runs and refused ones that are remembered, so that a late duplicate is still known."""
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SpooledRun:
    """A run as the spool knows it. In state `finished`, `lost` and `refused` no agent of it lives. `parked`: finished
    here for now, for the run goes on later."""

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
    """`data` is JSON text, as it will be sent."""

    n: int
    id: str
    type: str
    at: str
    data: str

    def to_json_text(self) -> str:
        return f'{{"id":"{self.id}","n":{self.n},"type":"{self.type}","at":"{self.at}","data":{self.data}}}'


class Spool:
    """An open spool. Errors are sqlite3.Error: a full or broken disk."""

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
        row = self._do("run_by_id", run_id=str(run_id)).fetchone()
        return None if row is None else _run(row)

    def is_new(self) -> bool:
        """Nothing has ever run here."""
        return self._do("any_run").fetchone() is None

    def runs_to_recover(self) -> list[SpooledRun]:
        """Those that lived when we ended, and those with events that nobody has acknowledged; oldest first."""
        return [_run(row) for row in self._do("runs_to_recover")]

    def highest_epoch(self) -> int:
        return int(self._do("highest_epoch").fetchone()[0])

    def undelivered(self) -> int:
        """Events that wait for the control plane."""
        return int(self._do("undelivered").fetchone()[0])

    def begin_attempt(self, start: StartRun, *, refused_claim: int) -> SpooledRun:
        """A new attempt takes the run's place: what an older one has not delivered is of no use any more."""
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
        """The same attempt was sent again: its claim may have grown, its key may have been rotated."""
        self._do(
            "refresh_run",
            run_id=str(start.run_id),
            claim=start.claim,
            callback_url=start.callback.url,
            callback_key=start.callback.key,
        )
        return self._known(start.run_id)

    def remember_stop(self, run_id: UUID, claim: int) -> SpooledRun:
        """From now on no start of this run with this claim or a lower one is taken."""
        self._do("remember_stop", run_id=str(run_id), claim=claim)
        return self._known(run_id)

    def append(self, run_id: UUID, drafts: list[Draft]) -> list[int]:
        """Give each its number; with them, what they mean: a request that waits, an end."""
        with self._transaction():
            return self._append(run_id, drafts)

    def mark_prompt_delivered(self, run_id: UUID) -> None:
        self._do("mark_prompt_delivered", run_id=str(run_id))

    def park(self, run_id: UUID) -> None:
        """Its agent has ended, and nothing more of this attempt comes."""
        self._do("park", run_id=str(run_id))

    def mark_lost(self, run_id: UUID, warning: Draft) -> SpooledRun:
        """Its agent is gone; the warning is its next event."""
        with self._transaction():
            self._append(run_id, [warning])
            self._do("mark_lost", run_id=str(run_id))
        return self._known(run_id)

    def refuse(self, run_id: UUID, reason: str) -> None:
        """Nothing more of it can be delivered. Its events stay, for people to look at."""
        self._do("refuse", run_id=str(run_id), reason=reason)

    def drop(self, run_id: UUID, reason: str) -> None:
        """It belongs to another executor or attempt now, and so do its events."""
        with self._transaction():
            self._do("refuse", run_id=str(run_id), reason=reason)
            self._do("drop_events", run_id=str(run_id))
            self._do("drop_counts", run_id=str(run_id))

    def unacknowledged(self, run_id: UUID, *, most: int, most_bytes: int) -> list[SpooledEvent]:
        """The next events to send, in order; one alone may be larger than `most_bytes`."""
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
        """The control plane has all up to `n`."""
        with self._transaction():
            self._do("acknowledge", run_id=str(run_id), n=n)
            self._do("delete_acknowledged", run_id=str(run_id), n=n)

    def is_answered(self, run_id: UUID, request_id: UUID) -> bool:
        """False also for a request that is not known."""
        row = self._do("is_answered", run_id=str(run_id), request_id=str(request_id)).fetchone()
        return row is not None and bool(row[0])

    def store_answer(self, run_id: UUID, answer: Answer) -> bool:
        """Whether it is the first answer to a known request."""
        stored = self._do(
            "store_answer",
            run_id=str(run_id),
            request_id=str(answer.request_id),
            answer=answer.model_dump_json(by_alias=True),
        )
        return stored.rowcount == 1

    def use_answer(self, run_id: UUID, answer: Answer) -> bool:
        """Whether this answer of an earlier attempt may be used: once. From now on the agent may have been told."""
        used = self._do(
            "use_answer",
            run_id=str(run_id),
            request_id=str(answer.request_id),
            answer=answer.model_dump_json(by_alias=True),
        )
        return used.rowcount == 1

    def taken_answers(self, run_id: UUID) -> list[UUID]:
        """Requests whose answers are here, so that the agent may have been told."""
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
    """The one thread that a spool is used in: `await spool(Spool.append, run_id, drafts)`."""

    def __init__(self, file: Path) -> None:
        """Opens it; sqlite3.Error when that cannot be."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._spool = self._thread.submit(Spool, file).result()

    async def __call__(self, act: Callable[Concatenate[Spool, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        acting = partial(act, self._spool, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, acting)

    def close(self) -> None:
        """After what was begun is done."""
        self._thread.submit(self._spool.close).result()
        self._thread.shutdown()


def _run(row: sqlite3.Row) -> SpooledRun:
    truths = {name: bool(row[name]) for name in ("prompt_delivered", "parked")}
    return SpooledRun(**{**row, **truths, "run_id": UUID(row["run_id"])})


@cache
def _statements() -> dict[str, str]:
    parts = _NAME.split(Path(__file__).with_suffix(".sql").read_text())
    return dict(zip(parts[1::2], parts[2::2], strict=True))

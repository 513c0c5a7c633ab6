"""`drain_queue`: claim and start due runs here and now, then count what settled within the wait."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from jobs.context import TaskContext
from jobs.runs.execute import execute_run
from schema.job_requests import DrainQueue
from schema.job_results import QueueDrained
from schema.rows import RunRow
from schema.sql import Conn, fetch_all, fetch_the

AT_ONCE = 4
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class _Due:
    id: UUID


def drain_queue(context: TaskContext, wanted: DrainQueue) -> QueueDrained:
    deadline = time.monotonic() + wanted.wait_seconds
    due = context.database.transact(fetch_all, "due_runs", _Due, limit=wanted.limit)
    with ThreadPoolExecutor(max_workers=AT_ONCE) as threads:
        outcomes = list(threads.map(partial(execute_run, context), [each.id for each in due]))
    claimed = [each.id for each, outcome in zip(due, outcomes, strict=True) if outcome != "nothing_to_do"]
    ends = _ends(context, claimed, deadline=deadline)
    return QueueDrained(claimed=len(claimed), started=outcomes.count("started"), **ends)


def _ends(context: TaskContext, run_ids: Sequence[UUID], *, deadline: float) -> Counter[str]:
    while True:
        ends = context.database.transact(_count_ends, run_ids)
        if ends.total() == len(run_ids) or time.monotonic() > deadline or context.closing.wait(LOOK_SECONDS):
            return ends


def _count_ends(conn: Conn, run_ids: Sequence[UUID]) -> Counter[str]:
    runs = [fetch_the(conn, "run_by_id", RunRow, run_id=run_id) for run_id in run_ids]
    ends = {"succeeded": "succeeded", "failed": "failed", "blocked": "failed", "cancelled": "canceled"}
    names = {**ends, "queued": "retried"}
    return Counter(names[run.status] for run in runs if run.status in names)

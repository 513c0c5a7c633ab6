"""`drain_queue`: claim and start due runs now, then count the runs that settle within the wait."""

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


def drain_queue(context: TaskContext, request: DrainQueue) -> QueueDrained:
    deadline = time.monotonic() + request.wait_seconds
    due = context.database.transact(fetch_all, "due_runs", _Due, limit=request.limit)
    with ThreadPoolExecutor(max_workers=AT_ONCE) as threads:
        outcomes = list(threads.map(partial(execute_run, context), [due_run.id for due_run in due]))
    claimed = [due_run.id for due_run, outcome in zip(due, outcomes, strict=True) if outcome != "nothing_to_do"]
    outcomes_by_name = _ends(context, claimed, deadline=deadline)
    return QueueDrained(claimed=len(claimed), started=outcomes.count("started"), **outcomes_by_name)


def _ends(context: TaskContext, run_ids: Sequence[UUID], *, deadline: float) -> Counter[str]:
    while True:
        outcomes_by_name = context.database.transact(_count_ends, run_ids)
        if (
            outcomes_by_name.total() == len(run_ids)
            or time.monotonic() > deadline
            or context.closing.wait(LOOK_SECONDS)
        ):
            return outcomes_by_name


def _count_ends(conn: Conn, run_ids: Sequence[UUID]) -> Counter[str]:
    runs = [fetch_the(conn, "run_by_id", RunRow, run_id=run_id) for run_id in run_ids]
    outcomes_by_name = {"succeeded": "succeeded", "failed": "failed", "blocked": "failed", "cancelled": "canceled"}
    names = {**outcomes_by_name, "queued": "retried"}
    return Counter(names[run.status] for run in runs if run.status in names)

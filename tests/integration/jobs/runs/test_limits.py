"""Limits on runs at a time, kept by real job workers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from jobs.context import TaskContext
from jobs.runs.execute import execute_run
from tests.integration.jobs.conftest import JobWorker, Runs


def test_runs_of_many_sessions_keep_to_the_limit_and_all_are_done(
    runs: Runs, make_job_worker: Callable[..., JobWorker]
) -> None:
    for name in ("one", "two"):
        make_job_worker(RUN_QUEUE_OWNER=name, RUN_LIMIT="1")
    started = [runs.start(f"say: {n}") for n in range(4)]
    ended = [runs.wait_for(run.id, "succeeded", "failed") for run in started]
    assert [(run.status, run.claim) for run in ended] == [("succeeded", 1)] * 4
    spans = sorted((run.started_at, run.finished_at) for run in ended if run.started_at and run.finished_at)
    assert all(before[1] < after[0] for before, after in pairwise(spans))
    assert any("run.held" in runs.types(run.id) for run in started)


def test_a_full_disk_holds_runs_and_says_so(runs: Runs, make_context: Callable[..., TaskContext]) -> None:
    context = make_context(disk_stop_free_mb=1_000_000_000)
    run = runs.start()
    assert execute_run(context, run.id) == "nothing_to_do"
    assert runs.row(run.id).attempt == run.attempt
    [held] = [event for event in runs.log(run.id) if event.type == "run.held"]
    assert "MB left. Free some space" in held.data["message"]

"""Limits on runs at a time, kept by real job workers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from handlers.runs.settle import has_attempts_left
from jobs.context import TaskContext
from jobs.runs.execute import execute_run, start_throttled
from schema.rows import RunRow
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


def queued_jobs(runs: Runs, run: RunRow) -> int:
    rows = runs.conn.execute(
        "SELECT 1 FROM procrastinate_jobs WHERE status = 'todo' AND args ->> 'run_id' = %s", (str(run.id),)
    )
    return len(rows.fetchall())


def test_an_engine_that_is_away_costs_no_attempt_where_the_session_has_a_worker(
    runs: Runs, make_context: Callable[..., TaskContext], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    away, run = make_context(worker_host="docker"), runs.start(max_attempts=1)
    runs.conn.execute("DELETE FROM procrastinate_jobs")
    runs.conn.execute(
        "INSERT INTO session_workers (session_id, status, epoch, host, base_url, restored_at) "
        "VALUES (%s, 'active', 1, 'docker', 'http://127.0.0.1:1', now())",
        (run.session_id,),
    )
    assert execute_run(away, run.id) == "requeued"
    waiting = runs.row(run.id)
    assert (waiting.status, waiting.held_by, waiting.claimed_by) == ("queued", "host", None)
    assert has_attempts_left(runs.conn, waiting), "no session worker took the run"
    start_throttled(away)
    assert queued_jobs(runs, run) == 0, "it would only be held again"
    [held] = [event for event in runs.log(run.id) if event.type == "run.held"]
    assert held.data["attemptGivenBack"] is True
    assert held.data["message"].startswith("No session worker can be started: The container engine does not answer")

    well = make_context()
    start_throttled(well)
    assert queued_jobs(runs, run) == 1
    assert execute_run(well, run.id) == "started"
    assert runs.wait_for(run.id, "succeeded", "failed").status == "succeeded"

"""The job worker as a process: a started run reaches an executor, and its end comes back."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.integration.jobs.conftest import JobWorker, Runs, listeners
from tests.integration.jobs.waiting import wait_until

MakeWorker = Callable[..., JobWorker]


def test_a_prompt_becomes_a_finished_run(runs: Runs, make_job_worker: MakeWorker) -> None:
    make_job_worker()
    run = runs.start("say: hello there")
    assert runs.wait_for(run.id, "succeeded", "failed").status == "succeeded"
    said = "".join(event.data["text"] for event in runs.log(run.id) if event.type == "message.delta")
    assert "hello there" in said


def test_the_sessions_next_run_starts_when_the_one_before_has_ended(runs: Runs, make_job_worker: MakeWorker) -> None:
    make_job_worker()
    first = runs.start("say: one")
    second = runs.start("say: two", session_id=first.session_id)
    runs.wait_for(second.id, "succeeded")
    finished = runs.row(first.id).finished_at
    started = runs.row(second.id).started_at
    assert finished is not None
    assert started is not None
    assert started > finished


def test_a_job_starts_by_notification_and_not_by_polling(runs: Runs, make_job_worker: MakeWorker) -> None:
    make_job_worker()
    assert listeners(runs.conn) == 1
    began = time.monotonic()
    run = runs.start()
    wait_until(lambda: runs.row(run.id).claim > 0, lambda: runs.row(run.id), seconds=5)
    assert time.monotonic() - began < 0.5


def test_two_workers_claim_a_run_once(runs: Runs, make_job_worker: MakeWorker) -> None:
    make_job_worker(RUN_QUEUE_OWNER="one")
    make_job_worker(RUN_QUEUE_OWNER="two")
    started = [runs.start(f"say: {n}") for n in range(4)]
    for run in started:
        ended = runs.wait_for(run.id, "succeeded", "failed")
        assert (ended.status, ended.claim, ended.attempt) == ("succeeded", 1, 1)


def test_a_worker_ends_in_order_when_told(make_job_worker: MakeWorker) -> None:
    worker = make_job_worker()
    assert worker.end() == 0

"""The job worker as a process: a started run reaches an executor, and its end comes back."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from handlers.job_requests import job_request, request_job
from handlers.providers.registry import list_providers
from jobs.app import app
from jobs.context import TaskContext
from jobs.hosts.folder import SessionFolder
from jobs.perform_request import perform_request
from schema.job_requests import ReconcileRuns
from schema.job_results import RunReconciliation
from tests.integration.jobs.conftest import ROOT, JobWorker, Runs, listeners
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
    assert min(seconds_to_do_a_job(runs) for _ in range(5)) < 0.3


def seconds_to_do_a_job(runs: Runs) -> float:
    """From its defer to its end; the polling interval is 1 s."""
    began = time.monotonic()
    with runs.conn.transaction():
        job_request_id = request_job(runs.conn, runs.actor, ReconcileRuns())

    def is_done() -> bool:
        done = job_request(runs.conn, job_request_id)
        return done is not None and done.finished_at is not None

    wait_until(is_done, lambda: job_request(runs.conn, job_request_id))
    return time.monotonic() - began


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


def test_a_worker_says_what_is_wrong_with_its_settings(environment: dict[str, str]) -> None:
    env = {**os.environ, **environment, "RUNYARD_WITHOUT_STORE": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "jobs"], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("S3_BUCKET says where workspaces are saved")


def test_a_worker_says_that_it_cannot_keep_workers_where_it_is_told(
    environment: dict[str, str], tmp_path: Path
) -> None:
    a_file = tmp_path / "file"
    a_file.touch()
    env = {**os.environ, **environment, "RUNYARD_DATA_DIR": str(a_file), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "jobs"], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    said = f"RUNYARD_DATA_DIR: {a_file}/workers could not be created: Not a directory."
    assert done.stderr.splitlines()[-1] == said
    assert "Traceback" not in done.stderr


def test_the_providers_of_the_registry_are_announced(runs: Runs, make_job_worker: MakeWorker) -> None:
    make_job_worker()
    wait_until(lambda: len(list_providers(runs.conn)) > 1, lambda: list_providers(runs.conn))
    assert "claude-code" in [provider.name for provider in list_providers(runs.conn)]


def test_a_changed_registry_is_announced_again(runs: Runs, make_job_worker: MakeWorker, tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_text('[providers.one]\ncommand = "sh"\n')
    make_job_worker(PROVIDERS_FILE=str(file))
    wait_until(lambda: names(runs) == ["one"], lambda: names(runs))
    file.write_text('[providers.two]\ncommand = "sh"\n')
    wait_until(lambda: names(runs) == ["two"], lambda: names(runs))


def names(runs: Runs) -> list[str]:
    return [provider.name for provider in list_providers(runs.conn)]


def test_a_worker_survives_the_loss_of_every_connection(runs: Runs, make_job_worker: MakeWorker) -> None:
    worker = make_job_worker()
    runs.conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    run = runs.start()
    runs.wait_for(run.id, "succeeded")
    assert worker.process.poll() is None


def test_a_run_goes_on_when_its_job_worker_is_killed(runs: Runs, make_job_worker: MakeWorker) -> None:
    worker = make_job_worker()
    run = runs.start("sleep 1\nsay: done")
    runs.wait_for(run.id, "running")
    worker.kill()
    assert runs.wait_for(run.id, "succeeded").attempt == 1


def test_a_killed_executor_is_noticed_within_seconds(
    runs: Runs, make_job_worker: MakeWorker, environment: dict[str, str]
) -> None:
    make_job_worker()
    run = runs.start("sleep 100", max_attempts=1)
    runs.wait_for(run.id, "running")
    listening = SessionFolder(Path(environment["RUNYARD_DATA_DIR"]) / "workers" / str(run.session_id)).listening()
    assert listening is not None
    os.kill(listening.pid, 9)
    assert runs.wait_for(run.id, "failed", seconds=10).reason_code == "agent_lost"


def test_a_job_of_a_killed_worker_is_taken_by_another(runs: Runs, make_job_worker: MakeWorker) -> None:
    run = runs.start()
    runs.conn.execute(
        "WITH gone AS ("
        "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour') RETURNING id)"
        " UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM gone)"
    )
    make_job_worker()
    runs.wait_for(run.id, "succeeded")


def test_a_stalled_duty_keeps_no_other_job_from_being_put_back(runs: Runs, make_job_worker: MakeWorker) -> None:
    """Its worker is gone, and the next one of the duty is queued."""
    defer = (
        "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, status, scheduled_at)"
        " VALUES ('control', %s, %s, %s, now() + %s::interval) RETURNING id"
    )
    duty = "remove_old_jobs"
    with runs.conn.transaction():
        runs.conn.execute(defer, (duty, duty, "doing", "0"))
        runs.conn.execute(defer, (duty, duty, "todo", "1 hour"))
        job_request_id = request_job(runs.conn, runs.actor, ReconcileRuns())
        runs.conn.execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE task_name = 'perform_request'")
    make_job_worker()

    def is_done() -> bool:
        done = job_request(runs.conn, job_request_id)
        return done is not None and done.finished_at is not None

    wait_until(is_done, lambda: job_request(runs.conn, job_request_id))


def test_an_operation_that_the_worker_stumbles_over_is_answered(
    context: TaskContext, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(_shop: TaskContext) -> RunReconciliation:
        raise ZeroDivisionError

    monkeypatch.setattr("jobs.perform_request.reconcile_runs", stumble)
    with runs.conn.transaction():
        job_request_id = request_job(runs.conn, runs.actor, ReconcileRuns())
    with pytest.raises(ZeroDivisionError):
        perform_request(context, job_request_id)
    done = job_request(runs.conn, job_request_id)
    assert done is not None
    assert "ZeroDivisionError" in (done.error or "")


@pytest.mark.parametrize("command", [["healthchecks"], ["worker", "--one-shot"]])
def test_operators_can_use_the_command_line_of_the_queue(environment: dict[str, str], command: list[str]) -> None:
    env = {**os.environ, "DATABASE_URL": environment["DATABASE_URL"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [Path(sys.executable).with_name("procrastinate"), "--app", "jobs.app.app", *command],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_of_the_job_workers_commits_only_the_queues_own_are_not_waited_for(
    context: TaskContext, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "SELECT current_setting('synchronous_commit') AS waits"
    monkeypatch.setenv("DATABASE_URL", database)

    async def queues_own() -> str:
        async with app.open_async():
            return str((await app.connector.execute_query_one_async(asked))["waits"])

    with context.database.dedicated() as alone:
        verbs = context.database.call(lambda conn: conn.execute(asked).fetchone())
        assert (asyncio.run(queues_own()), verbs, alone.execute(asked).fetchone()) == ("off", ("on",), ("on",))

"""An operator's retry or cancel of a job, by `python -m cli queue`, neither loses nor doubles a run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from uuid import UUID

import psycopg
import pytest

from handlers.job_requests import job_request, request_job
from schema.job_requests import ReconcileRuns
from tests.integration.jobs.conftest import ROOT, JobWorker, Runs
from tests.integration.jobs.waiting import wait_until

MakeWorker = Callable[..., JobWorker]
JOBS = "SELECT id FROM procrastinate_jobs WHERE task_name = 'execute_run' AND args ->> 'run_id' = %s ORDER BY id"


def queue(database: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", "queue", *words]
    env = {**os.environ, "DATABASE_URL": database}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def jobs_of(conn: psycopg.Connection, run_id: UUID) -> list[int]:
    return [job_id for (job_id,) in conn.execute(JOBS, [str(run_id)]).fetchall()]


def status_of(conn: psycopg.Connection, job_id: int) -> object:
    row = conn.execute("SELECT status::text FROM procrastinate_jobs WHERE id = %s", [job_id]).fetchone()
    return None if row is None else row[0]


def waiting_for(conn: psycopg.Connection, table: str) -> int:
    """How many jobs wait for a row of the table."""
    waiting = """SELECT 1 FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ILIKE %s"""
    return len(conn.execute(waiting, [f"%{table}%"]).fetchall())


def is_done_once(runs: Runs, run_id: UUID, *, saying: str) -> None:
    run = runs.wait_for(run_id, "succeeded", "failed", "blocked", "cancelled", seconds=90)
    assert (run.status, run.attempt) == ("succeeded", 1)
    assert [type_ for type_ in runs.types(run_id) if type_ in ("run.started", "run.finished")] == [
        "run.started",
        "run.finished",
    ]
    said = "".join(event.data["text"] for event in runs.log(run_id) if event.type == "message.delta")
    assert said.count(saying) == 1


def test_a_run_whose_job_was_cancelled_gets_another_and_is_done_once(
    runs: Runs, database: str, make_job_worker: MakeWorker
) -> None:
    run = runs.start("say: in spite of the operator")
    [job_id] = jobs_of(runs.conn, run.id)
    listed = queue(database, "list_jobs", "task=execute_run", "status=todo", "details")
    assert listed.returncode == 0, listed.stderr
    assert re.search(rf"#{job_id} execute_run on runs - \[todo\].*{run.id}", listed.stdout)
    cancelled = queue(database, "cancel", str(job_id))
    assert (cancelled.returncode, status_of(runs.conn, job_id)) == (0, "cancelled"), cancelled.stderr
    # as if the run had been due for a minute: the reconciler gives a new job a moment to be taken
    runs.conn.execute("UPDATE runs SET next_attempt_at = now() - interval '1 minute' WHERE id = %s", [run.id])
    make_job_worker(RECONCILE_SECONDS="1")
    is_done_once(runs, run.id, saying="in spite of the operator")
    assert status_of(runs.conn, job_id) == "cancelled"
    assert len(jobs_of(runs.conn, run.id)) == 2


def test_a_job_that_is_retried_while_it_is_done_starts_its_run_once(
    runs: Runs, database: str, make_job_worker: MakeWorker
) -> None:
    run = runs.start("say: only once")
    [job_id] = jobs_of(runs.conn, run.id)
    with psycopg.connect(database) as holding:  # so both jobs are before their claim at once
        holding.execute("SELECT 1 FROM session_logs WHERE session_id = %s FOR UPDATE", [run.session_id])
        worker = make_job_worker()
        wait_until(lambda: waiting_for(runs.conn, "session_logs") == 1, lambda: status_of(runs.conn, job_id))
        retried = queue(database, "retry", str(job_id))
        assert retried.returncode == 0, retried.stderr
        wait_until(lambda: waiting_for(runs.conn, "session_logs") == 2, lambda: status_of(runs.conn, job_id))
        holding.rollback()
    is_done_once(runs, run.id, saying="only once")
    assert status_of(runs.conn, job_id) == "succeeded"
    assert worker.process.poll() is None


def test_a_request_whose_job_is_cancelled_and_retried_while_it_is_done_is_answered_once(
    runs: Runs, database: str, make_job_worker: MakeWorker
) -> None:
    with runs.conn.transaction():
        request_id = request_job(runs.conn, runs.actor, ReconcileRuns())
    [[job_id]] = runs.conn.execute("SELECT id FROM procrastinate_jobs WHERE task_name = 'perform_request'").fetchall()
    with psycopg.connect(database) as holding:  # so neither job can store its result yet
        holding.execute("SELECT 1 FROM operations WHERE id = %s FOR UPDATE", [request_id])
        worker = make_job_worker()
        wait_until(lambda: waiting_for(runs.conn, "operations") == 1, lambda: status_of(runs.conn, job_id))
        queue(database, "cancel", str(job_id))
        assert status_of(runs.conn, job_id) == "doing", "only a job that nobody does yet can be cancelled"
        assert queue(database, "retry", str(job_id)).returncode == 0
        wait_until(lambda: waiting_for(runs.conn, "operations") == 2, lambda: status_of(runs.conn, job_id))
        holding.rollback()
    wait_until(lambda: status_of(runs.conn, job_id) == "succeeded", lambda: status_of(runs.conn, job_id))
    told = job_request(runs.conn, request_id)
    assert told is not None
    assert (told.error, told.result and told.result["scanned"]) == (None, 0)
    assert worker.process.poll() is None


@pytest.mark.parametrize("words", [("retry", "999999"), ("cancel", "999999"), ("list_jobs", "status=nonsense")])
def test_what_cannot_be_done_is_one_sentence(database: str, words: tuple[str, ...]) -> None:
    done = queue(database, *words)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [("retry",), ("cancel", "all"), ("defer", "execute_run")])
def test_wrong_words_change_nothing(database: str, words: tuple[str, ...]) -> None:
    assert queue(database, *words).returncode == 2

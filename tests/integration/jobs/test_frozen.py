"""A job worker that stands still: its health check tells it, and another takes over its locks when it is ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from jobs.runtime.alive import main as health_check
from tests.integration.jobs.conftest import JobWorker, Runs
from tests.integration.jobs.waiting import wait_until

LOCKED = """SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ILIKE '%session_logs%'"""


def test_the_locks_of_a_frozen_job_worker_are_taken_over(
    runs: Runs,
    make_job_worker: Callable[..., JobWorker],
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alive = tmp_path / "alive"
    monkeypatch.setenv("WORKER_ALIVE_FILE", str(alive))
    frozen = make_job_worker()
    wait_until(lambda: alive.exists() and health_check() == 0, lambda: "the job worker never said that it is alive")
    with psycopg.connect(database) as holding:
        run = runs.start("say: after the frost")
        holding.execute("SELECT 1 FROM session_logs WHERE session_id = %s FOR UPDATE", (run.session_id,))
        runs.conn.execute("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'")
        wait_until(lambda: runs.conn.execute(LOCKED).fetchall(), lambda: runs.row(run.id))
        frozen.process.send_signal(signal.SIGSTOP)
        holding.rollback()  # the frozen one's claim goes on in the server, and keeps the session locked
    with psycopg.connect(database, autocommit=True) as other, pytest.raises(psycopg.errors.LockNotAvailable):
        other.execute("SELECT 1 FROM session_logs WHERE session_id = %s FOR UPDATE NOWAIT", (run.session_id,))

    os.utime(alive, (time.time() - 60, time.time() - 60))  # as it is a minute later: nothing touches it
    assert health_check() == 1
    frozen.kill()
    runs.conn.execute("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 minute'")
    make_job_worker()
    ended = runs.wait_for(run.id, "succeeded", "failed", "blocked", "cancelled", seconds=90)
    assert (ended.status, ended.attempt) == ("succeeded", 1)
    assert runs.types(run.id).count("run.started") == 1

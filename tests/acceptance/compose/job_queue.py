"""The queue's verbs of docs/operating.md in a running Compose project: what an operator types, and what is said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.acceptance.compose.deployed import Deployed
from tests.acceptance.talk import Json, Talk, of_type, outcome, texts, types
from tests.acceptance.waiting import wait_until

DOCUMENTED = ("exec", "-T", "worker", "python", "-m", "cli", "queue")
SIGNAL = """
import os, signal, sys
for pid in filter(str.isdecimal, os.listdir("/proc")):
    try:
        words = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\\0")
    except OSError:
        continue
    if words[-3:] == [b"-m", b"jobs", b""]:
        os.kill(int(pid), getattr(signal, sys.argv[1]))
        print(pid)
"""
BUSY = "SELECT 1 FROM pg_stat_activity WHERE datname = 'runyard' AND pid <> pg_backend_pid() AND state <> 'idle'"


def list_cancel_and_retry(deployed: Deployed, talk: Talk, *, session_id: str, other_session_id: str) -> None:
    """Cancel the job of one run and retry another's while it is done. Both runs are done, once, at their first try."""
    auto: Json = {"provider": "demo", "options": {"mode": "auto"}}
    with connected(deployed) as conn:
        with frozen_job_worker(deployed, conn):
            cancelled = talk.start("say: in spite of the operator", sessionId=session_id, **auto)
            retried = talk.start("say: only once", sessionId=other_session_id, **auto)
            first, second = job_of(deployed, cancelled, status="todo"), job_of(deployed, retried, status="todo")
            assert queue(deployed, "cancel", first) == f"#{first} execute_run on runs - [cancelled]\n"
            conn.execute("SELECT 1 FROM session_logs WHERE session_id = %s FOR UPDATE", [other_session_id])
        wait_until(lambda: find_job(deployed, retried, status="doing") == second, seconds=60, what=deployed.logs)
        assert queue(deployed, "retry", second) == f"#{second} execute_run on runs - [todo]\n"
        conn.rollback()
    for started, said in ((retried, "only once"), (cancelled, "in spite of the operator")):
        is_done_once(talk, started, saying=said)
    assert f"#{first} execute_run on runs - [cancelled]" in queue(deployed, "list_jobs", "status=cancelled")


def is_done_once(talk: Talk, started: Json, *, saying: str) -> None:
    events = talk.watch(started)
    assert outcome(events) == ("succeeded", None)
    assert (types(events).count("run.started"), texts(events).count(saying)) == (1, 1), types(events)
    assert (talk.run(started["runId"])["attempt"], of_type(events, "run.retrying")) == (1, [])


def queue(deployed: Deployed, *words: str) -> str:
    return deployed.compose(*DOCUMENTED, *words)


def job_of(deployed: Deployed, started: Json, *, status: str) -> str:
    """Return the number of the run's job in that status, as an operator reads it in the list."""
    found = find_job(deployed, started, status=status)
    assert found is not None, queue(deployed, "list_jobs", "task=execute_run", "details")
    return found


def find_job(deployed: Deployed, started: Json, *, status: str) -> str | None:
    listed = queue(deployed, "list_jobs", "task=execute_run", f"status={status}", "details")
    found = re.search(rf"^#(\d+) execute_run on runs - \[{status}\].*{started['runId']}", listed, re.M)
    return found and found[1]


@contextmanager
def connected(deployed: Deployed) -> Iterator[psycopg.Connection]:
    with psycopg.connect(
        host="127.0.0.1",
        port=deployed.port("POSTGRES_PORT"),
        user="runyard",
        dbname="runyard",
        password=deployed.environ["POSTGRES_PASSWORD"],
    ) as conn:
        yield conn


@contextmanager
def frozen_job_worker(deployed: Deployed, conn: psycopg.Connection) -> Iterator[None]:
    """Stop the job worker's process, but not amid a transaction, so that jobs wait. It goes on at the end."""
    wait_until(lambda: is_frozen_without_locks(deployed, conn), seconds=60, what=deployed.logs)
    try:
        yield
    finally:
        signal_job_worker(deployed, "SIGCONT")


def is_frozen_without_locks(deployed: Deployed, conn: psycopg.Connection) -> bool:
    signal_job_worker(deployed, "SIGSTOP")
    busy = conn.execute(BUSY).fetchall()
    conn.rollback()
    if busy:
        signal_job_worker(deployed, "SIGCONT")
    return not busy


def signal_job_worker(deployed: Deployed, name: str) -> None:
    assert deployed.compose("exec", "-T", "worker", "python", "-c", SIGNAL, name).split(), "no job worker"

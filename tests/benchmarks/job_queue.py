"""G7 and G8: from a prompt to its run at an executor, jobs a second, and what a killed job worker leaves."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import psycopg

from handlers.access.permissions import actor_of
from handlers.access.users import user_named
from handlers.providers.registry import announce_providers
from handlers.runs.start import Start, start_run
from handlers.runs.stop import StopPolicy
from jobs.runtime.database import CONNECT
from schema.executor_api import ProviderDeclared
from schema.options import RunOptions
from schema.sql import Conn
from tests.acceptance.waiting import wait_until
from tests.benchmarks.figures import ROUNDS, Rounds, in_turns, percentile
from tests.benchmarks.ground import ROOT, SECRET, TRACEPARENT, fresh_database, running_server
from tests.benchmarks.report import Line, Wanted, rated
from tests.integration.jobs.stand_in import TOKEN, Reply, Seen, StandIn

SAMPLES, JOBS = 100, 1000
PAUSE_SECONDS = 0.03
"""Between two samples: a notification that meets a worker at its fetching can be lost, and it then polls after 5 s."""
DEMO = ProviderDeclared(name="demo", title="Demo", ready=True, options=["mode"], capabilities={"resume": True})
PATIENCE_SECONDS = 120.0


class Receiver(StandIn):
    """An executor that takes every run, and remembers when it was given which."""

    def __init__(self, *, is_mute: bool = False) -> None:
        super().__init__()
        self.received: queue.Queue[float] = queue.Queue()
        self.is_mute = is_mute

    def reply_to(self, seen: Seen) -> Reply:
        if self.is_mute and seen.method == "POST":
            return Reply(0, meanwhile=lambda: threading.Event().wait(PATIENCE_SECONDS))
        if (seen.method, seen.path) == ("POST", "/runs"):
            self.received.put(time.monotonic())
        return super().reply_to(seen)


@dataclass(frozen=True)
class Worker:
    """A process of the queue; `begun` are the moments at which its jobs began."""

    process: subprocess.Popen[str]
    begun: queue.Queue[float]


def dispatching() -> Iterator[Line]:
    with running_server() as server:
        with fresh_database(server) as dsn, fresh_database(server) as bare_dsn:
            yield from _dispatched(dsn, bare_dsn)
        rounds = in_turns(
            lambda: _drained(server.dsn(server.create_database()), pool="ours"),
            lambda: _drained(server.dsn(server.create_database()), pool="stock"),
            rounds=5,
        )
        yield rated("G7", "drain of no-op jobs", rounds, unit="jobs/s", wanted=Wanted(">=", 1.5))


def _dispatched(dsn: str, bare_dsn: str) -> Iterator[Line]:
    with (
        closing(Receiver()) as receiver,
        our_worker(dsn, receiver, RUN_LEASE_SECONDS="3600", RUN_LIMIT_PER_USER="100000") as _,
        queue_worker(bare_dsn) as bare,
        psycopg.connect(dsn, **CONNECT) as conn,
        psycopg.connect(bare_dsn, **CONNECT) as other,
    ):
        announce_providers(conn, [DEMO])
        ours, theirs = partial(_start, conn, receiver.received), partial(_defer, other, bare.begun)
        for side in (ours, theirs):
            _sampled(side, 10)  # connections and prepared statements
        took = [(_sampled(ours, SAMPLES), _sampled(theirs, SAMPLES)) for _ in range(ROUNDS)]
    for percent, wanted in ((99, Wanted("<=", 2.0)), (50, None)):
        figures = [[percentile(side, percent) for side in each] for each in took]
        rounds = Rounds(tuple(mine for mine, _ in figures), tuple(bare for _, bare in figures))
        yield rated("G7", f"start-run to dispatched, p{percent}", rounds, unit="ms", wanted=wanted)


def _sampled(sample: Callable[[], float], count: int) -> list[float]:
    took = []
    for _ in range(count):
        took.append(sample())
        time.sleep(PAUSE_SECONDS)
    return took


def _start(conn: Conn, received: queue.Queue[float]) -> float:
    began = time.monotonic()
    start_a_run(conn)
    return (received.get(timeout=PATIENCE_SECONDS) - began) * 1000


def start_a_run(conn: Conn) -> UUID:
    wanted = Start(prompt="go", provider="demo", options=RunOptions(), max_attempts=3, traceparent=TRACEPARENT)
    with conn.transaction():
        actor = actor_of(user_named(conn, "admin"))
        return start_run(conn, actor, wanted, stop_policy=StopPolicy(deadline_seconds=30)).run.id


def _defer(conn: Conn, begun: queue.Queue[float], task: str = "bench_nothing") -> float:
    began = time.monotonic()
    defer_bare(conn, task)
    return (begun.get(timeout=PATIENCE_SECONDS) - began) * 1000


def defer_bare(conn: Conn, task: str, arguments: str = "{}", *, count: int = 1) -> None:
    """Jobs by procrastinate's own function, in one statement."""
    conn.execute(
        "SELECT procrastinate_defer_jobs_v1(array_agg("
        "ROW('bench', %s, 0, NULL, NULL, %s, NULL)::procrastinate_job_to_defer_v1)) FROM generate_series(1, %s)",
        [task, arguments, count],
    )


def _drained(dsn: str, *, pool: str) -> float:
    """Jobs a second, from the first one's beginning to the last one's."""
    with psycopg.connect(dsn, **CONNECT) as conn:
        defer_bare(conn, "bench_nothing", count=JOBS)
    with queue_worker(dsn, QUEUE_POOL=pool) as worker:
        moments = [worker.begun.get(timeout=PATIENCE_SECONDS) for _ in range(JOBS)]
    return JOBS / (moments[-1] - moments[0])


def reclaiming() -> Iterator[Line]:
    with running_server() as server:
        rounds = in_turns(
            lambda: _reclaimed(server.dsn(server.create_database())),
            lambda: _retried(server.dsn(server.create_database())),
        )
    yield rated("G8", "SIGKILL of a job worker to its run reclaimed", rounds, unit="s", wanted=Wanted("<=", 0.1))


def _reclaimed(dsn: str) -> float:
    with (
        closing(Receiver(is_mute=True)) as receiver,
        our_worker(dsn, receiver) as first,
        psycopg.connect(dsn, **CONNECT) as conn,
    ):
        announce_providers(conn, [DEMO])
        run_id = start_a_run(conn)
        claim = "SELECT claim, status::text FROM runs WHERE id = %s"
        wait_until(lambda: conn.execute(claim, [run_id]).fetchone() == (1, "starting"), seconds=30, what="not claimed")
        with our_worker(dsn, receiver, RUN_QUEUE_RETRY_DELAY_MS="60000"):
            killed_at = _killed(first.process)
            while conn.execute(claim, [run_id]).fetchone() == (1, "starting"):
                assert time.monotonic() - killed_at < PATIENCE_SECONDS
                time.sleep(0.005)
            return time.monotonic() - killed_at


def _retried(dsn: str) -> float:
    with psycopg.connect(dsn, **CONNECT) as conn, queue_worker(dsn, QUEUE_RECIPE="1") as first:
        defer_bare(conn, "bench_long", '{"name": "long"}')
        first.begun.get(timeout=PATIENCE_SECONDS)
        with queue_worker(dsn, QUEUE_RECIPE="1") as second:
            killed_at = _killed(first.process)
            return second.begun.get(timeout=PATIENCE_SECONDS) - killed_at


def _killed(process: subprocess.Popen[str]) -> float:
    at = time.monotonic()
    process.kill()
    process.wait(10)
    return at


@contextmanager
def our_worker(dsn: str, executor: StandIn, **settings: str) -> Iterator[Worker]:
    """`python -m jobs` with this executor."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "RUNYARD_SECRET_KEY": SECRET,
            "RUNYARD_DATA_DIR": folder,
            "WORKER_HOST": "external",
            "RUNYARD_WITHOUT_STORE": "1",
            "EXECUTOR_BASE_URL": executor.url,
            "EXECUTOR_AUTH_TOKEN": TOKEN,
            **settings,
        }
        with _worker(["-m", "jobs"], dsn, environment) as worker:
            yield worker


@contextmanager
def queue_worker(dsn: str, **settings: str) -> Iterator[Worker]:
    with _worker(["-m", "tests.benchmarks.baselines.queue_worker"], dsn, settings) as worker:
        yield worker


@contextmanager
def _worker(arguments: list[str], dsn: str, settings: dict[str, str]) -> Iterator[Worker]:
    with psycopg.connect(dsn, **CONNECT) as conn:
        before = _workers(conn)
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": dsn, "LOG_LEVEL": "ERROR", **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    begun: queue.Queue[float] = queue.Queue()
    reading = threading.Thread(target=_read, args=(process, begun), daemon=True)
    reading.start()
    try:
        with psycopg.connect(dsn, **CONNECT) as conn:
            wait_until(lambda: _workers(conn, process) > before, seconds=60, what="the worker does not listen")
        yield Worker(process, begun)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reading.join(5)


def _read(process: subprocess.Popen[str], begun: queue.Queue[float]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        begun.put(float(line.rpartition(":")[2]))


def _workers(conn: Conn, process: subprocess.Popen[str] | None = None) -> int:
    """How many have registered, which each does before it fetches its first job."""
    assert process is None or process.poll() is None, "the worker ended by itself"
    return len(conn.execute("SELECT 1 FROM procrastinate_workers").fetchall())

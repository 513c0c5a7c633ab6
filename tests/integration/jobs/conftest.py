"""A control plane in small: a real database, the callback route, executors as processes, job workers as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psutil
import psycopg
import pytest

from handlers.access.permissions import Actor, actor_of
from handlers.access.users import user_named
from handlers.event_log import run_events
from handlers.providers.registry import announce_providers
from handlers.runs.start import Start, start_run
from handlers.runs.stop import StopPolicy
from handlers.runs.stop import stop_run as ask_to_stop
from jobs.context import TaskContext
from jobs.hosts.folder import SessionFolder
from jobs.job_worker import open_task_context
from jobs.runtime.settings import JobSettings
from schema.events import Envelope
from schema.executor_api import ProviderDeclared
from schema.options import RunOptions
from schema.rows import RunRow
from schema.sql import Conn, fetch_the
from tests.integration.jobs.callbacks import CallbackServer
from tests.integration.jobs.waiting import wait_until

ROOT = Path(__file__).parents[3]
SECRET = bytes(range(32))
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
DEMO = ProviderDeclared(
    name="demo",
    title="Demo",
    ready=True,
    options=["model", "mode", "cwd"],
    capabilities={"resume": True, "humanLoop": True},
)
STOP = StopPolicy(deadline_seconds=30)


@dataclass(frozen=True)
class Runs:
    """Starts and watches runs, as an API would on the same database."""

    conn: Conn
    actor: Actor

    def start(self, prompt: str = "say: hello", **changes: object) -> RunRow:
        defaults = {"options": RunOptions(mode="auto"), "max_attempts": 3, "traceparent": TRACEPARENT}
        with self.conn.transaction():
            wanted = Start(prompt=prompt, **{**defaults, **changes})  # type: ignore[arg-type]
            return start_run(self.conn, self.actor, wanted, stop_policy=STOP).run

    def stop(self, run_id: UUID) -> RunRow:
        with self.conn.transaction():
            return ask_to_stop(self.conn, self.actor, run_id, policy=STOP)

    def row(self, run_id: UUID) -> RunRow:
        return fetch_the(self.conn, "run_by_id", RunRow, run_id=run_id)

    def log(self, run_id: UUID) -> list[Envelope]:
        return run_events(self.conn, run_id, after=0, limit=10_000)

    def types(self, run_id: UUID) -> list[str]:
        return [event.type for event in self.log(run_id)]

    def wait_for(self, run_id: UUID, *statuses: str, seconds: float = 30) -> RunRow:
        wait_until(lambda: self.row(run_id).status in statuses, lambda: self.row(run_id), seconds=seconds)
        return self.row(run_id)


@pytest.fixture
def runs(conn: Conn) -> Runs:
    announce_providers(conn, [DEMO])
    return Runs(conn, actor_of(user_named(conn, "admin")))


@pytest.fixture
def callbacks(database: str) -> Iterator[CallbackServer]:
    server = CallbackServer(database, SECRET)
    yield server
    server.close()


@pytest.fixture
def environment(database: str, callbacks: CallbackServer, tmp_path: Path) -> Iterator[dict[str, str]]:
    """What a job worker is told. Executors that were started under it are ended with the test."""
    yield {
        "DATABASE_URL": database,
        "RUNYARD_SECRET_KEY": SECRET.hex(),
        "RUNYARD_DATA_DIR": str(tmp_path / "data"),
        "RUNYARD_CALLBACK_URL": callbacks.url,
        "PROVIDERS_FILE": str(ROOT / "providers.toml"),
        "AGENTS_DIR": str(tmp_path / "agents"),
        "RUNYARD_WITHOUT_STORE": "1",
        "RUN_QUEUE_RETRY_DELAY_MS": "0",
        "EXECUTOR_RETRY_DELAY_MS": "10",
        "EXECUTOR_STOP_GRACE_SECONDS": "2",
        "EXECUTOR_HEARTBEAT_SECONDS": "0.5",
    }
    end_executors(tmp_path / "data" / "workers")


def end_executors(workers: Path) -> None:
    said = [SessionFolder(folder).listening() for folder in workers.glob("*")]
    running = [process for each in said if each is not None and (process := each.process) is not None]
    for process in running:
        process.terminate()
    _, left = psutil.wait_procs(running, timeout=15)
    assert left == []


def settings_of(environment: dict[str, str], **changes: object) -> JobSettings:
    """As read from this environment and nothing else."""
    given = {name.lower(): value for name, value in environment.items()}
    return JobSettings(**{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture
def make_context(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., TaskContext]]:
    """Workshops in this process, to call verbs of jobs/ on without a queue; settings are overruled by name."""
    opened = []
    for name in ("EXECUTOR_STOP_GRACE_SECONDS", "EXECUTOR_HEARTBEAT_SECONDS"):
        monkeypatch.setenv(name, environment[name])

    def make(**changes: object) -> TaskContext:
        opened.append(open_task_context(settings_of(environment, **changes)))
        return opened[-1].__enter__()

    yield make
    for task_context in opened:
        task_context.__exit__(None, None, None)


@pytest.fixture
def context(make_context: Callable[..., TaskContext]) -> TaskContext:
    return make_context()


@dataclass
class JobWorker:
    """A `python -m jobs` of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    def end(self) -> int:
        """SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def make_job_worker(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., JobWorker]]:
    """Job workers that listen for jobs when this returns; they are ended with the test."""
    made: list[JobWorker] = []

    def make(**changes: str) -> JobWorker:
        log = tmp_path / f"worker{len(made)}.log"
        env = {**os.environ, **environment, "PYTHONPATH": str(ROOT), **changes}
        with log.open("wb") as out:
            process = subprocess.Popen([sys.executable, "-m", "jobs"], cwd=ROOT, env=env, stderr=out)
        made.append(JobWorker(process, log))
        living = sum(1 for worker in made if worker.process.poll() is None)
        with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as conn:
            wait_until(lambda: listeners(conn) >= living or process.poll() is not None, log.read_text)
        assert process.poll() is None, log.read_text()
        return made[-1]

    yield make
    for worker in made:
        if worker.process.poll() is None:
            worker.end()
        print(worker.log.read_text()[-8000:])


def listeners(conn: Conn) -> int:
    """How many connections of this database listen for jobs."""
    rows = conn.execute("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'")
    return len(rows.fetchall())

"""A control plane of single processes on one database, each of which can be hurt alone: API, job worker, executors.

Between them lie proxies: API and job worker reach PostgreSQL, and executors reach the API, only through one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from uuid import UUID

import httpx
import psutil
import psycopg
from psycopg import sql

from handlers.access.tokens import admit_token
from jobs.hosts.folder import SessionFolder
from tests.acceptance.faults.part import Part
from tests.acceptance.faults.tab import ReaderThread
from tests.acceptance.stack import free_port
from tests.acceptance.talk import Json, Talk
from tests.acceptance.waiting import wait_until
from tests.checker import Acknowledged, Recorded, violations
from tests.integration.functions.conftest import NO_SHARES, SECRET, TOKEN, Driver, driver_of, environment
from tests.integration.jobs.conftest import end_executors
from tests.model_server.providers import scripted_environment, scripted_providers
from tests.proxy import Proxy, proxy_to, proxy_to_postgres
from tests.structure.repository import ROOT

QUIET_SECONDS = 60.0
ASKING = """
[providers.asking]
command = "{python}"
args = ["-P", "{runyard}/tests/acceptance/asking_agent.py"]
capabilities = { resume = true, humanLoop = true }
[providers.forgetful]
command = "{python}"
args = ["-P", "{runyard}/tests/acceptance/asking_agent.py", "--forgets"]
capabilities = { humanLoop = true }
"""
"""An agent that asks several things at once, and one that does so and cannot resume."""
SETTINGS = {
    **NO_SHARES,
    "API_THREADS": "48",
    "DATABASE_POOL_SIZE": "8",
    "RUN_QUEUE_LOCK_MS": "4000",
    "RUN_QUEUE_RETRY_DELAY_MS": "0",
    "RECONCILE_SECONDS": "1",
    "EXECUTOR_HEARTBEAT_SECONDS": "0.5",
    "EXECUTOR_STOP_GRACE_SECONDS": "2",
    "EXECUTOR_RETRY_DELAY_MS": "50",
    "EXECUTOR_SPARES": "1",
}


@dataclass
class Plane:
    """`database` leads straight to the database: what the tests themselves look at."""

    database: str
    folder: Path
    port: int
    callbacks: Proxy
    api_postgres: Proxy
    worker_postgres: Proxy
    settings: Mapping[str, str]
    api_database: str
    worker_database: str
    parts: list[Part] = field(default_factory=list)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    readers: list[ReaderThread] = field(default_factory=list)
    api: Part = field(init=False)
    worker: Part = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def workers(self) -> Path:
        return self.folder / "data" / "workers"

    def talk(self, url: str | None = None) -> Talk:
        return Talk(url or self.url, TOKEN)

    def start_api(self, *, port: int | None = None, database: str | None = None, **settings: str) -> Part:
        """Ready when this returns."""
        port = port or self.port
        env = environment(database or self.api_database, port, {**self.settings, **settings})
        command = ["gunicorn", "-c", "functions/gunicorn.conf.py", "functions.wsgi:app"]
        part = self._start("api", command, env)
        wait_until(lambda: is_ready(part, port), seconds=60, what=lambda: part.log.read_text()[-4000:])
        return part

    def start_worker(self, *, database: str | None = None, **settings: str) -> Part:
        """It takes jobs when this returns."""
        before = self._takers()
        dsn = database or self.worker_database
        env = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": dsn, "RUNYARD_SECRET_KEY": SECRET}
        env["RUNYARD_WITHOUT_STORE"] = "1"  # what is saved has tests of its own
        part = self._start("worker", ["jobs"], {**env, **self.settings, **settings})
        takes_jobs: Callable[[], bool] = lambda: part.is_alive and bool(self._takers() - before)  # noqa: E731
        wait_until(takes_jobs, seconds=60, what=lambda: part.log.read_text()[-4000:])
        return part

    def make_well(self) -> None:
        """API and job worker run, and no proxy hurts anything."""
        for proxy in (self.callbacks, self.api_postgres, self.worker_postgres):
            proxy.heal()
        if not hasattr(self, "api") or not self.api.is_alive:
            self.api = self.start_api()
        if not hasattr(self, "worker") or not self.worker.is_alive:
            self.worker = self.start_worker()
        with self.talk() as talk:
            wait_until(lambda: has_providers(talk), seconds=60, what="no provider was announced")

    def bind(self, session_id: str | None = None) -> Driver:
        """A run that the test drives itself, as an executor would; what is acknowledged to it is recorded."""
        body = {"provider": "elsewhere", "prompt": "drive", **({"sessionId": session_id} if session_id else {})}
        with self.talk() as talk:
            answer = talk.http.post(f"/api/runs/{UUID(bytes=os.urandom(16))}/bind", json=body)
        assert answer.status_code == 201, answer.text
        return driver_of(answer.json(), self.send)

    def send(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Json]:
        return self.send_to(self.url, path, body, headers)

    def send_to(self, url: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Json]:
        answer = httpx.post(url + path, content=body, headers=headers, timeout=60, trust_env=False)
        said: Json = answer.json()
        if answer.status_code == 200:
            self.note(path.split("/")[3], body)
        return answer.status_code, {**said, "headers": dict(answer.headers)}

    def note(self, run_id: str, body: bytes) -> None:
        self.acknowledged += [Acknowledged(run_id, event["id"]) for event in json.loads(body)["events"]]

    def follow(
        self, session_id: object, *, after: int = 0, url: str | None = None, by: str = "session"
    ) -> ReaderThread:
        """A reader by the socket of the session, or of a tab, whose list is checked at the end."""
        self.readers.append(ReaderThread(self.talk(url), str(session_id), after=after, by=by))
        return self.readers[-1]

    def one(self, query: str, *values: object) -> object:
        """The first column of the first row, in database truth."""
        with psycopg.connect(self.database, autocommit=True) as conn:
            row = conn.execute(sql.SQL(query), values).fetchone()
        return None if row is None else row[0]

    def do(self, statement: str, *values: object) -> None:
        with psycopg.connect(self.database, autocommit=True) as conn:
            conn.execute(sql.SQL(statement), values)

    def wait_for(self, run_id: object, *statuses: str, seconds: float = 60) -> None:
        """Until the run's row has one of these."""
        status: Callable[[], object] = lambda: self.one("SELECT status FROM runs WHERE id = %s", run_id)  # noqa: E731
        wait_until(lambda: status() in statuses, seconds=seconds, what=lambda: f"the run is {status()}")

    def executor_of(self, session_id: object) -> psutil.Process | None:
        listening = SessionFolder(self.workers / str(session_id)).listening()
        return None if listening is None else listening.process

    def workspace(self, session_id: object) -> Path:
        return SessionFolder(self.workers / str(session_id)).workspace

    def check(self) -> None:
        """The independent checker: all is quiet within a bounded time, and then it finds nothing."""
        for reader in self.readers:
            reader.read_up_to(self._last_seq(reader.session_id))
        self._end_extra_parts()
        wait_until(lambda: not self._violations(), seconds=QUIET_SECONDS, what=lambda: "\n".join(self._violations()))
        self.forget()

    def forget(self) -> None:
        """What sources and readers recorded."""
        for reader in self.readers:
            reader.end()
        self.readers.clear()
        self.acknowledged.clear()

    def _violations(self) -> list[str]:
        readings = [reader.reading() for reader in self.readers]
        return violations(self.database, Recorded(acknowledged=self.acknowledged, readings=readings))

    def _end_extra_parts(self) -> None:
        for part in self.parts:
            if part not in (self.api, self.worker):
                part.end()
        self.parts = [part for part in self.parts if part.is_alive]

    def close(self) -> None:
        self.forget()
        for part in reversed(self.parts):
            part.end()
        end_executors(self.workers)

    def _last_seq(self, session_id: str) -> int:
        return int(str(self.one("SELECT last_seq FROM session_logs WHERE session_id = %s", session_id)))

    def _takers(self) -> set[int]:
        """Connections on which a worker listens for jobs. That of a killed one may be there still."""
        query = """SELECT array_agg(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND query ILIKE 'LISTEN%%procrastinate%%'"""
        return set(cast("list[int] | None", self.one(query)) or [])

    def _start(self, name: str, command: list[str], env: Mapping[str, str]) -> Part:
        log = self.folder / f"{name}{len(list(self.folder.glob(f'{name}*.log')))}.log"
        with log.open("wb") as out:
            process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=env, stdout=out, stderr=out)
        self.parts.append(Part(name, process, log))
        return self.parts[-1]


@contextmanager
def running_plane(database: str, folder: Path, *, model_url: str) -> Iterator[Plane]:
    """Its processes are started by `make_well`, and ended with the block."""
    providers = folder / "providers.toml"
    providers.write_text(scripted_providers(model_url) + ASKING)
    with psycopg.connect(database, autocommit=True) as conn, conn.transaction():
        admit_token(conn, user_name="admin", label="tests", token=TOKEN)
    port = free_port()
    with ExitStack() as stack:
        callbacks = stack.enter_context(proxy_to("127.0.0.1", port))
        api_postgres, api_database = stack.enter_context(proxy_to_postgres(database))
        worker_postgres, worker_database = stack.enter_context(proxy_to_postgres(database))
        settings = {
            **SETTINGS,
            "RUNYARD_CALLBACK_URL": callbacks.url,
            "RUNYARD_DATA_DIR": str(folder / "data"),
            "PROVIDERS_FILE": str(providers),
            "AGENTS_DIR": os.environ.get("AGENTS_DIR", str(ROOT / ".runyard" / "agents")),
            **scripted_environment(model_url),
        }
        plane = Plane(
            database=database,
            folder=folder,
            port=port,
            callbacks=callbacks,
            api_postgres=api_postgres,
            worker_postgres=worker_postgres,
            settings=settings,
            api_database=api_database,
            worker_database=worker_database,
        )
        stack.callback(plane.close)
        yield plane


def is_ready(part: Part, port: int) -> bool:
    assert part.is_alive, part.log.read_text()[-4000:]
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def has_providers(talk: Talk) -> bool:
    found = talk.http.get("/api/providers")
    return found.status_code == 200 and bool(found.json()["items"])

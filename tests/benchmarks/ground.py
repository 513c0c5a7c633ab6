"""What measurements stand on: an embedded PostgreSQL of their own, gunicorn processes, runs to report events of."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import psycopg

from cli.local.data_dir import socket_folder
from cli.local.postgres import embedded_binaries, start_postgres, stop_postgres
from handlers.access.permissions import Actor, actor_of
from handlers.access.tokens import issue_token
from handlers.access.users import user_named
from handlers.runs.bind import Bind, bind_run
from schema.signature import signed_headers
from schema.sql import Conn
from schema.wire import Json
from tests.acceptance.stack import free_port
from tests.acceptance.waiting import wait_until
from tests.benchmarks.load import http_request
from tests.databases import Server
from tests.integration.functions.conftest import NO_SHARES

ROOT = Path(__file__).parents[2]
SECRET = "5e" * 32
EVENT_BYTES = 200
TRACEPARENT = f"00-{'ab' * 16}-{'cd' * 8}-01"
KEPT_AS_IN_PRODUCTION = ["--threads", "96", "--worker-connections", "352", "--keep-alive", "15"]


@contextmanager
def running_server() -> Iterator[Server]:
    """PostgreSQL 18 with our settings and a migrated template; gone with its data at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="runyard-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # the server may run as another user
        server = Server(start_postgres(Path(folder) / "data", binaries=embedded_binaries()))
        try:
            server.make_template()
            yield server
        finally:
            stop_postgres(server.postgres.process)
            shutil.rmtree(socket_folder(server.postgres.pgdata), ignore_errors=True)


@contextmanager
def fresh_database(server: Server) -> Iterator[str]:
    """The DSN of a migrated database."""
    name = server.create_database()
    try:
        yield server.dsn(name)
    finally:
        server.drop_database(name)


@dataclass(frozen=True)
class Gunicorn:
    """A running one."""

    port: int
    process: subprocess.Popen[bytes]


@contextmanager
def serving(
    app: str, dsn: str, *, settings: Mapping[str, str] | None = None, port: int | None = None
) -> Iterator[Gunicorn]:
    """An app over the database, under our own configuration of gunicorn."""
    port = port or free_port()
    environment = {"DATABASE_URL": dsn, "RUNYARD_SECRET_KEY": SECRET, "RUNYARD_PORT": str(port)}
    environment |= {**NO_SHARES, **(settings or {})}
    with _gunicorn(["-c", "functions/gunicorn.conf.py", app], port, environment, ready="/ready") as running:
        yield running


@contextmanager
def serving_plainly(app: str) -> Iterator[Gunicorn]:
    """An app that has nothing to do with ours, under a gunicorn of the same kind and size."""
    port = free_port()
    arguments = ["-k", "gthread", "-w", "1", *KEPT_AS_IN_PRODUCTION, "--no-control-socket", "-b", f"127.0.0.1:{port}"]
    with _gunicorn([*arguments, app], port, {}, ready="/") as running:
        yield running


@contextmanager
def _gunicorn(arguments: list[str], port: int, environment: Mapping[str, str], *, ready: str) -> Iterator[Gunicorn]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=log,
            stderr=log,
        )
        try:
            wait_until(lambda: _answers(process, f"http://127.0.0.1:{port}{ready}"), seconds=30, what=lambda: _end(log))
            yield Gunicorn(port, process)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    assert process.poll() is None, "gunicorn ended by itself"
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _end(log: object) -> str:
    log.seek(0)  # type: ignore[attr-defined]
    return str(log.read()[-4000:].decode())  # type: ignore[attr-defined]


@dataclass
class Source:
    """What reports a run's events, numbered from 1; nothing is waited for between two of them."""

    run_id: UUID
    session_id: UUID
    key: str
    epoch: int
    n: int = 0

    def events(self, count: int) -> list[Json]:
        """The next events of the run, of about EVENT_BYTES each."""
        self.n += count
        return [_delta(n) for n in range(self.n - count + 1, self.n + 1)]

    def request(self, port: int, count: int) -> bytes:
        """A signed callback with the next events."""
        events = {"epoch": self.epoch, "attempt": 1, "events": self.events(count)}
        body = json.dumps(events, separators=(",", ":")).encode()
        headers = {**signed_headers(self.key, body), "content-type": "application/json"}
        return http_request(port, "POST", f"/api/runs/{self.run_id}/callbacks", body, list(headers.items()))


def _delta(n: int) -> Json:
    said = {"messageId": "m1", "role": "assistant", "text": "x" * 50}
    event = {"id": str(uuid4()), "n": n, "type": "message.delta", "at": datetime.now(UTC).isoformat(), "data": said}
    assert abs(len(json.dumps(event)) - EVENT_BYTES) < EVENT_BYTES // 3
    return event


def make_sources(dsn: str, count: int, *, run_id: Callable[[int], UUID] = lambda _: uuid4()) -> list[Source]:
    """Bound runs, each in a session of its own; `run_id` gives the id of the nth."""
    with psycopg.connect(dsn) as conn:
        actor = actor_of(user_named(conn, "admin"))
        return [_source(conn, actor, run_id(i)) for i in range(count)]


def make_token(dsn: str) -> str:
    with psycopg.connect(dsn) as conn:
        return issue_token(conn, user_name="admin", label=secrets.token_hex(4))


def _source(conn: Conn, actor: Actor, run_id: UUID) -> Source:
    wanted = Bind(run_id=run_id, session_id=None, provider="bench", prompt="go", title=None, traceparent=TRACEPARENT)
    bound = bind_run(conn, actor, wanted, secret=bytes.fromhex(SECRET), lease_seconds=600)
    return Source(bound.run.id, bound.run.session_id, bound.callback_key, bound.run.epoch or 1)

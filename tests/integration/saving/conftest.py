"""A session whose workspace is saved: real PostgreSQL, a real object store, an executor's saving side in small."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

import pytest

from handlers.access import Actor
from handlers.claim_run import record_dispatched
from handlers.event_log import session_events
from handlers.saving import saving_state
from handlers.sessions import open_session
from jobs.object_store import Bucket, make_store
from jobs.objects import Stored
from jobs.store_errors import StoreError
from jobs.store_settings import StoreSettings
from jobs.workshop import Workshop
from schema.errors import RunyardError
from schema.events import Envelope
from schema.rows import RunRow, SavingRow, SnapshotRow
from schema.sql import Conn, fetch_all
from tests.integration.handlers.conftest import (
    StartOne,
    actor,
    call_back,
    claim,
    event,
    finished,
    run_now,
    start,
    started,
)
from tests.integration.jobs.conftest import ROOT, callbacks, environment, make_shop
from tests.integration.jobs.stand_in import TOKEN, StandIn
from tests.integration.jobs.waiting import wait_until
from tests.integration.saving.saver import Saver

__all__ = ["actor", "callbacks", "environment", "make_shop", "start"]
KEY_ID, KEY = "tests", "the-tests-own-key-0123456789"


@dataclass
class StoreProcess:
    """`python -m cli.trial_store`, on a port that stays its own when it is started again."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        key_file = self.folder / "key"
        key_file.write_text(f"{KEY_ID}\n{KEY}\n")
        command = [sys.executable, "-m", "cli.trial_store", "--folder", str(self.folder / "objects")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--key-file", str(key_file), "--port", str(self.port)], cwd=ROOT, stdout=log, stderr=log
            )
        wait_until(self._answers, lambda: (self.folder / "log").read_text()[-2000:])

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(scope="session")
def store_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = StoreProcess(tmp_path_factory.mktemp("store"), port)
    yield process
    process.kill()


@pytest.fixture
def bucket(store_process: StoreProcess) -> Bucket:
    """One of its own on the running store."""
    if store_process.process is None:
        store_process.start()
    endpoint = f"http://127.0.0.1:{store_process.port}"
    made = make_store(StoreSettings(f"b{secrets.token_hex(8)}", endpoint, access_key_id=KEY_ID, secret_access_key=KEY))
    made.ensure_bucket()
    return made


@dataclass
class Troubled:
    """The real bucket, but some calls fail first: `plan` names them in their order, e.g. `read`."""

    real: Bucket
    plan: list[tuple[str, RunyardError]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def link(self, method: str, key: str, seconds: float) -> str:
        self._trouble("link")
        return self.real.link(method, key, seconds)

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        self._trouble("sizes")
        return self.real.sizes(keys)

    def read(self, key: str) -> bytes:
        self._trouble("read")
        return self.real.read(key)

    def list(self, prefix: str) -> Iterator[Stored]:
        self._trouble("list")
        return iter(list(self.real.list(prefix)))

    def delete(self, keys: Collection[str]) -> None:
        self._trouble("delete")
        self.real.delete(keys)

    def _trouble(self, name: str) -> None:
        self.calls.append(name)
        if self.plan and self.plan[0][0] == name:
            raise self.plan.pop(0)[1]


@pytest.fixture
def store(bucket: Bucket) -> Troubled:
    return Troubled(bucket)


@pytest.fixture
def saver() -> Saver:
    return Saver()


@pytest.fixture
def executor(saver: Saver) -> Iterator[StandIn]:
    stand_in = StandIn(saver.answer)
    yield stand_in
    stand_in.close()


@pytest.fixture
def make_saving_shop(make_shop: Callable[..., Workshop], executor: StandIn, store: Troubled) -> Callable[..., Workshop]:
    """Job workers in this process, each with a name of its own."""

    def make(**changes: object) -> Workshop:
        external = {"worker_host": "external", "executor_base_url": executor.url, "executor_auth_token": TOKEN}
        made = make_shop(**{**external, "executor_max_retries": 1, **changes})
        return replace(made, store=store)

    return make


@pytest.fixture
def shop(make_saving_shop: Callable[..., Workshop]) -> Workshop:
    return make_saving_shop()


@dataclass
class Session:
    """A session with its worker, whose runs come and go by what an executor would report."""

    conn: Conn
    start: StartOne
    id: UUID

    def begin_run(self) -> RunRow:
        """A run at work."""
        run = self.start(session_id=self.id).run
        claimed = claim(self.conn, run.id)
        assert claimed is not None
        record_dispatched(self.conn, claimed.run, lease_seconds=600)
        call_back(self.conn, claimed.run, started())
        return run_now(self.conn, run.id)

    def say(self, run: RunRow, type_: str, **data: object) -> None:
        call_back(self.conn, run, event(run_now(self.conn, run.id).last_n + 1, type_, dict(data)))

    def stop_message(self, run: RunRow) -> None:
        self.say(run, "message.stop", messageId="m", stopReason="end_turn")

    def end_run(self, run: RunRow) -> None:
        call_back(self.conn, run, finished(run_now(self.conn, run.id).last_n + 1))

    def run(self) -> RunRow:
        """A run from its begin to its end."""
        run = self.begin_run()
        self.end_run(run)
        return run_now(self.conn, run.id)

    @property
    def state(self) -> SavingRow:
        found = saving_state(self.conn, self.id)
        assert found is not None
        return found

    @property
    def snapshots(self) -> list[SnapshotRow]:
        """Oldest first."""
        asked = {"session_id": self.id, "before_at": None, "before_id": None, "limit": 1000}
        return sorted(fetch_all(self.conn, "snapshots_of_session", SnapshotRow, **asked), key=lambda row: row.number)

    def events(self, type_: str) -> list[Envelope]:
        return [each for each in session_events(self.conn, self.id, after=0, limit=1000) if each.type == type_]

    def make_due(self) -> None:
        self.conn.execute("UPDATE session_workers SET next_sync_at = now() WHERE session_id = %s", (self.id,))

    def expire_turn(self) -> None:
        self.conn.execute("UPDATE session_workers SET sync_lock_expires_at = now() WHERE session_id = %s", (self.id,))


@pytest.fixture
def make_session(conn: Conn, actor: Actor, start: StartOne, executor: StandIn) -> Callable[[], Session]:
    """Sessions whose workers are up and empty."""

    def make() -> Session:
        opened = open_session(conn, actor, title="")
        conn.execute(
            "INSERT INTO session_workers (session_id, status, epoch, host, base_url, restored_at)"
            " VALUES (%s, 'active', 1, 'external', %s, now())",
            (opened.id, executor.url),
        )
        return Session(conn, start, opened.id)

    return make


@pytest.fixture
def session(make_session: Callable[[], Session]) -> Session:
    return make_session()


def due_jobs(conn: Conn) -> list[tuple[UUID, int]]:
    """The session and claim of each `sync_workspace` job that was deferred and not taken yet; they are taken."""
    rows = conn.execute(
        "DELETE FROM procrastinate_jobs WHERE task_name = 'sync_workspace'"
        " RETURNING (args ->> 'session_id')::uuid, (args ->> 'claim')::int"
    ).fetchall()
    return [(row[0], row[1]) for row in rows]


def away() -> StoreError:
    return StoreError("network")

"""A session whose workspace is saved: real PostgreSQL, a real object store, an executor's saving side in small."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from uuid import UUID

import pytest

from handlers.access.permissions import Actor
from handlers.event_log import session_events
from handlers.runs.claim import record_dispatched
from handlers.sessions.edit import open_session
from handlers.workspaces.sync import saving_state
from jobs.context import TaskContext
from jobs.object_store.s3 import Bucket
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
from tests.integration.jobs.conftest import callbacks, environment, make_context
from tests.integration.jobs.stand_in import TOKEN, StandIn
from tests.integration.jobs.workspaces.saver import Saver
from tests.object_stores import RunningStore
from tests.store_faults import HurtStore

__all__ = ["actor", "callbacks", "environment", "make_context", "start"]


@pytest.fixture
def bucket(request: pytest.FixtureRequest, object_store: RunningStore) -> Bucket:
    """The test's own; by the way that can be hurt, for a test that hurts it. Its writes are tried, as at a job worker's
    start."""
    hurt: HurtStore | None = request.getfixturevalue("hurt_store") if "hurt_store" in request.fixturenames else None
    bucket = (object_store.at(hurt.url) if hurt else object_store).open()
    bucket.write_features()
    return bucket


@pytest.fixture
def saver() -> Saver:
    return Saver()


@pytest.fixture
def executor(saver: Saver) -> Iterator[StandIn]:
    stand_in = StandIn(saver.answer)
    yield stand_in
    stand_in.close()


@pytest.fixture
def make_saving_context(
    make_context: Callable[..., TaskContext], executor: StandIn, bucket: Bucket
) -> Callable[..., TaskContext]:
    """Job workers in this process, each with a name of its own."""

    def make(**changes: object) -> TaskContext:
        external = {"worker_host": "external", "executor_base_url": executor.url, "executor_auth_token": TOKEN}
        made = make_context(**{**external, "executor_max_retries": 1, **changes})
        return replace(made, store=bucket)

    return make


@pytest.fixture
def context(make_saving_context: Callable[..., TaskContext]) -> TaskContext:
    return make_saving_context()


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
        call_back(self.conn, run, event(self.next_n(run), type_, dict(data)))

    def next_n(self, run: RunRow) -> int:
        """The number of the next event that its executor says."""
        found = self.conn.execute("SELECT last_n + 1 FROM session_logs WHERE run_id = %s", (run.id,)).fetchone()
        assert found is not None
        return int(found[0])

    def stop_message(self, run: RunRow) -> None:
        self.say(run, "message.stop", messageId="m", stopReason="end_turn")

    def end_run(self, run: RunRow) -> None:
        call_back(self.conn, run, finished(self.next_n(run)))

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

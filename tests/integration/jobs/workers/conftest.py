"""Session workers from start to removal: real PostgreSQL, real executors of the process host, a real object store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import UUID

import psutil
import pytest

from handlers.event_log import session_events
from handlers.workers.report import fetch_history
from handlers.workers.rows import worker_of
from handlers.workspaces.sync import unsaved
from jobs.context import TaskContext
from jobs.hosts.folder import SessionFolder
from jobs.object_store.s3 import Bucket
from jobs.runs.execute import execute_run
from schema.events import Envelope
from schema.rows import RunRow, WorkerRow
from schema.worker_api import Happened
from tests.integration.jobs.conftest import Runs, callbacks, environment, make_context, make_job_worker, runs
from tests.integration.jobs.waiting import wait_until
from tests.integration.jobs.workspaces.conftest import bucket

__all__ = ["bucket", "callbacks", "environment", "make_context", "make_job_worker", "runs"]

Make = Callable[..., TaskContext]


@pytest.fixture
def make_saving_context(make_context: Make, bucket: Bucket) -> Make:
    """Job workers in this process that save to one store."""

    def make(**changes: object) -> TaskContext:
        return replace(make_context(executor_spares=0, **changes), store=bucket)

    return make


@pytest.fixture
def context(make_saving_context: Make) -> TaskContext:
    return make_saving_context()


@dataclass
class Session:
    """A session whose runs are done by the demo agent, and what became of its worker."""

    context: TaskContext
    runs: Runs
    id: UUID | None = None

    def say(self, prompt: str, *, status: str = "succeeded", **changes: object) -> RunRow:
        """A run from its start to its end."""
        run = self.begin(prompt, **changes)
        return self.runs.wait_for(run.id, status)

    def begin(self, prompt: str, **changes: object) -> RunRow:
        run = self.runs.start(prompt, **({"session_id": self.id} if self.id else {}), **changes)
        self.id = run.session_id
        assert execute_run(self.context, run.id) == "started", self.runs.row(run.id)
        return run

    @property
    def session_id(self) -> UUID:
        assert self.id is not None
        return self.id

    @property
    def status(self) -> str:
        return self.worker.status

    @property
    def worker(self) -> WorkerRow:
        row = worker_of(self.runs.conn, self.session_id)
        assert row is not None
        return row

    @property
    def epoch(self) -> int:
        conn = self.runs.conn
        row = conn.execute("SELECT epoch FROM session_logs WHERE session_id = %s", (self.session_id,)).fetchone()
        assert row is not None
        return int(row[0])

    @property
    def folder(self) -> SessionFolder:
        return SessionFolder(self.context.settings.runyard_data_dir / "workers" / str(self.session_id))

    @property
    def executor(self) -> psutil.Process:
        listening = self.folder.listening()
        assert listening is not None
        assert listening.process is not None
        return listening.process

    @property
    def history(self) -> list[Happened]:
        """Newest first."""
        return fetch_history(self.runs.conn, self.session_id)

    @property
    def is_saved(self) -> bool:
        return unsaved(self.runs.conn, self.session_id) is None

    def events(self, type_: str) -> list[Envelope]:
        found = session_events(self.runs.conn, self.session_id, after=0, limit=10_000)
        return [event for event in found if event.type == type_]

    def text(self, run: RunRow) -> str:
        deltas = [event.data for event in self.runs.log(run.id) if event.type == "message.delta"]
        return "".join(delta["text"] for delta in deltas if delta["role"] == "assistant")

    def at_rest(self) -> None:
        """Wait until its executor has nothing to deliver and no agent lives, or a sweep has ended it."""

        def rests() -> bool:
            endpoint = self.context.host.facts(self.session_id).endpoint
            if endpoint is None:
                return self.status in ("stopped", "absent")
            health = self.context.executors.health(endpoint.base_url)
            return health.spooled == 0 and health.runs == 0

        wait_until(rests, lambda: self.worker)

    def kill_executor(self) -> None:
        executor = self.executor
        executor.kill()
        wait_until(lambda: self.context.host.is_dead(self.session_id), lambda: self.worker)

    def age(self, interval: str) -> None:
        """As if it had been as it is for so long."""
        self.runs.conn.execute(
            "UPDATE session_workers SET status_since = status_since - %(by)s::interval,"
            " idle_since = idle_since - %(by)s::interval WHERE session_id = %(id)s",
            {"by": interval, "id": self.session_id},
        )
        self.runs.conn.execute(
            "UPDATE runs SET finished_at = finished_at - %s::interval WHERE session_id = %s",
            (interval, self.session_id),
        )


@pytest.fixture
def session(context: TaskContext, runs: Runs) -> Iterator[Session]:
    made = Session(context, runs)
    yield made
    with suppress(AssertionError):
        made.executor.kill()

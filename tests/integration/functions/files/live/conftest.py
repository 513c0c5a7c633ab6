"""A session with a real executor, a job worker as a process, a real store, and the API over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import psycopg
import pytest
from werkzeug.test import TestResponse

from jobs.hosts.folder import SessionFolder
from schema.rows import RunRow
from schema.sql import fetch_the
from schema.wire import Json
from tests.integration.functions.conftest import Api, answer_json
from tests.integration.jobs.conftest import JobWorker, callbacks, environment, make_job_worker
from tests.integration.jobs.waiting import wait_until
from tests.object_stores import RunningStore

__all__ = ["callbacks", "environment", "make_job_worker"]


@dataclass
class LiveSession:
    """A session of the administrator, whose runs the demo agent does in a worker of the process host."""

    api: Api
    conn: psycopg.Connection[Any]
    id: UUID
    folder: SessionFolder
    job_worker: JobWorker

    @property
    def workspace(self) -> Path:
        return self.folder.workspace

    def begin(self, prompt: str, **more: object) -> UUID:
        """Start a run of the demo agent."""
        started = self.api.start(prompt, provider="demo", sessionId=str(self.id), options={"mode": "auto"}, **more)
        return UUID(started["runId"])

    def say(self, prompt: str, **more: object) -> UUID:
        """A run from its start to its end."""
        run_id = self.begin(prompt, **more)
        self.wait_for(run_id, "succeeded")
        return run_id

    def row(self, run_id: UUID) -> RunRow:
        return fetch_the(self.conn, "run_by_id", RunRow, run_id=run_id)

    def wait_for(self, run_id: UUID, status: str) -> None:
        wait_until(lambda: self.row(run_id).status == status, lambda: self.row(run_id), seconds=60)

    def wait_until_saved(self) -> None:
        def is_saved() -> bool:
            row = self.conn.execute(
                "SELECT dirty_since IS NULL AND head_snapshot IS NOT NULL FROM session_workers WHERE session_id = %s",
                (self.id,),
            ).fetchone()
            return row is not None and bool(row[0])

        wait_until(is_saved, lambda: self.job_worker.log.read_text()[-3000:], seconds=60)

    def get(self, verb: str, **query: object) -> TestResponse:
        return self.api.get(f"/api/files/{verb}?{urlencode({'sessionId': str(self.id), **query})}")

    def read(self, verb: str, **query: object) -> Json:
        found = self.get(verb, **query)
        assert found.status_code == 200, found.get_data(as_text=True)
        return answer_json(found)

    def names(self, **query: object) -> list[str]:
        return [item["name"] for item in self.read("tree", **query)["items"]]

    def kill_executor(self) -> None:
        said = self.folder.listening()
        process = said.process if said is not None else None
        assert process is not None
        process.kill()
        process.wait(10)


@pytest.fixture
def job_worker(make_job_worker: Callable[..., JobWorker], object_store: RunningStore) -> JobWorker:
    return make_job_worker(EXECUTOR_SPARES="0", **object_store.environment)


@pytest.fixture
def make_live(
    api: Api, conn: psycopg.Connection[Any], job_worker: JobWorker, tmp_path: Path
) -> Callable[[], LiveSession]:
    def make() -> LiveSession:
        session_id = UUID(answer_json(api.post("/api/sessions", {"title": "live"}))["sessionId"])
        folder = SessionFolder(tmp_path / "data" / "workers" / str(session_id))
        return LiveSession(api, conn, session_id, folder, job_worker)

    return make


@pytest.fixture
def live(make_live: Callable[[], LiveSession]) -> LiveSession:
    """A session whose worker is at work, and whose first run wrote `hello.txt`."""
    session = make_live()
    session.say("write hello.txt: hello")
    return session

"""An executor that stands still is restarted before its lease ends; one that runs now and then is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import psutil
import pytest

from jobs.context import TaskContext
from jobs.hosts.folder import SessionFolder
from jobs.runs.execute import execute_run
from jobs.runs.standstill import StandstillWatch
from schema.rows import RunRow
from tests.integration.jobs.conftest import Runs
from tests.integration.jobs.waiting import wait_until

QUIET = "UPDATE session_logs SET lease_expires_at = now() + interval '30 s' WHERE run_id = %s"


def executor_of(context: TaskContext, session_id: UUID) -> psutil.Process | None:
    listening = SessionFolder(context.settings.runyard_data_dir / "workers" / str(session_id)).listening()
    return listening.process if listening else None


@dataclass
class Session:
    """A session whose agent is at work for a long time, and its first executor."""

    context: TaskContext
    runs: Runs
    run: RunRow
    first: psutil.Process

    @property
    def has_its_first_executor(self) -> bool:
        return executor_of(self.context, self.run.session_id) == self.first

    def look(self, watch: StandstillWatch) -> None:
        """Look once, while the executor has not called for half a minute."""
        self.runs.conn.execute(QUIET, (self.run.id,))
        watch.run_once()

    def run_for_a_moment(self) -> None:
        before = self.context.host.progress(self.run.session_id)
        self.first.resume()
        wait_until(lambda: self.context.host.progress(self.run.session_id) != before, lambda: "it does not run")
        self.first.suspend()
        wait_until(lambda: self.first.status() == psutil.STATUS_STOPPED, self.first.status)


@pytest.fixture
def session(context: TaskContext, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr("jobs.runs.standstill.LOOKS", 2)
    run = runs.start("sleep 100", max_attempts=3)
    assert execute_run(context, run.id) == "started"
    first = executor_of(context, run.session_id)
    assert first is not None
    yield Session(context, runs, runs.wait_for(run.id, "running"), first)
    with suppress(psutil.NoSuchProcess):
        first.resume()


def test_an_executor_that_stands_still_is_restarted_and_its_run_goes_on(session: Session) -> None:
    watch = StandstillWatch(session.context)
    session.first.suspend()
    session.look(watch)
    assert session.has_its_first_executor
    session.look(watch)
    assert not session.first.is_running()
    session.runs.wait_for(session.run.id, "queued")
    assert execute_run(session.context, session.run.id) == "started"
    run = session.runs.wait_for(session.run.id, "running")
    assert run.attempt == 2
    assert session.runs.types(run.id).count("run.retrying") == 1


def test_an_executor_that_runs_between_two_looks_keeps_its_run(session: Session) -> None:
    watch = StandstillWatch(session.context)
    session.first.suspend()
    session.look(watch)
    session.run_for_a_moment()
    session.look(watch)
    assert session.has_its_first_executor


def test_an_executor_that_answers_or_has_just_called_is_left_alone(session: Session) -> None:
    watch = StandstillWatch(session.context)
    for _ in range(3):
        session.look(watch)
    session.first.suspend()
    for _ in range(3):
        session.runs.conn.execute("UPDATE session_logs SET lease_expires_at = now() + interval '60 s'")
        watch.run_once()
    assert session.has_its_first_executor

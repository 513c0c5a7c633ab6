"""Whatever an operator does to a job by procrastinate's verbs, the promise behind the job is kept, once.

For each kind of job: the first job is cancelled before it is done, or the job is done once more, as one that was left
`doing`. procrastinate's own worker does the jobs, in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from handlers.human_loop.reply import HumanReply, reply
from handlers.job_requests import abandon_job_request, job_request, request_job
from jobs import tasks
from jobs.app import app
from jobs.human_loop.expire import expire_requests
from jobs.runs.execute import execute_run
from jobs.runs.reconcile import reconcile_runs
from jobs.workspaces.sync import save_due
from schema.job_requests import ReconcileRuns
from schema.options import RunOptions
from schema.rows import JobRequestRow
from tests.integration.jobs.conftest import STOP
from tests.integration.jobs.waiting import wait_until
from tests.integration.jobs.workers.conftest import Session

PERIODIC = {name for name, task in app.tasks.items() if task.queueing_lock == name}
OWN = {name for name in app.tasks if "procrastinate.builtin_tasks" in name}
A_MINUTE = "interval '1 minute'"


@dataclass
class Queue:
    """The queue of the session's database, to its job worker and to an operator."""

    session: Session

    def jobs(self, task: str, *statuses: str) -> list[int]:
        select = "SELECT id FROM procrastinate_jobs WHERE task_name = %s AND status::text = ANY(%s) ORDER BY id"
        return [row[0] for row in self.session.runs.conn.execute(select, (task, list(statuses))).fetchall()]

    def work(self) -> None:
        """Do all jobs that are due."""
        with_context = {"task_context": self.session.context}
        opened(
            lambda: app.run_worker_async(
                queues=[tasks.RUNS, tasks.CONTROL], wait=False, listen_notify=False, install_signal_handlers=False,
                additional_context=with_context,
            )
        )  # fmt: skip

    def cancel(self, task: str) -> None:
        [job_id] = self.jobs(task, "todo")
        assert opened(lambda: app.job_manager.cancel_job_by_id_async(job_id))
        assert self.jobs(task, "todo") == []

    def retry(self, task: str) -> None:
        """Retry the job that was done, as if its job worker had died before it said so."""
        [done] = self.jobs(task, "succeeded")
        self.session.runs.conn.execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = %s", (done,))
        opened(lambda: app.job_manager.retry_job_by_id_async(done, retry_at=datetime.now(UTC).replace(microsecond=0)))
        assert self.jobs(task, "todo") == [done]


def opened(verb: Callable[[], Coroutine[Any, Any, object]]) -> object:
    """Do the verb while the app is connected; return its result."""

    async def run() -> object:
        async with app.open_async():
            return await verb()

    return asyncio.run(run())


@pytest.fixture
def queue(session: Session, database: str, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setenv("DATABASE_URL", database)
    return Queue(session)


class Promise:
    """What jobs of a kind are for: of a run that is done once, if nothing else is said."""

    def begin(self, session: Session) -> None:
        """Come to where one job of the kind is due."""
        self.run_id = session.runs.start("say: only once").id

    def comes_back(self, session: Session) -> None:
        """Let pass the time after which a cancelled job has another in its place, and do the periodic work."""
        session.runs.conn.execute(f"UPDATE runs SET next_attempt_at = now() - {A_MINUTE}")
        reconcile_runs(session.context)

    def is_kept(self, session: Session) -> None:
        run = session.runs.wait_for(self.run_id, "succeeded", "failed", "cancelled", seconds=60)
        assert (run.status, run.attempt) == ("succeeded", 1)
        assert session.text(run).count("only once") == 1
        assert session.runs.types(run.id).count("run.finished") == 1


class Stopped(Promise):
    """The run is stopped once, whether its executor hears of it from the job or at its next callback."""

    def begin(self, session: Session) -> None:
        self.run_id = session.begin("sleep 600").id
        session.runs.wait_for(self.run_id, "running", seconds=60)
        session.runs.stop(self.run_id)

    def comes_back(self, session: Session) -> None:
        session.runs.wait_for(self.run_id, "cancelled", seconds=60)

    def is_kept(self, session: Session) -> None:
        assert session.runs.wait_for(self.run_id, "cancelled", "failed", seconds=60).status == "cancelled"
        assert session.runs.types(self.run_id).count("run.finished") == 1


class Answered(Promise):
    """The answer reaches the agent once, and the run ends as it would."""

    def begin(self, session: Session) -> None:
        self.run_id = session.begin("write notes.md: only once", options=RunOptions(mode="ask")).id
        session.runs.wait_for(self.run_id, "waiting", seconds=60)
        self.answer(session)

    def answer(self, session: Session) -> None:
        [asked] = [event for event in session.runs.log(self.run_id) if event.type == "human_loop.requested"]
        answer = HumanReply(request_id=UUID(asked.data["requestId"]), decision="allow")
        with session.runs.conn.transaction():
            reply(session.runs.conn, session.runs.actor, answer, stop_policy=STOP)

    def comes_back(self, session: Session) -> None:
        session.runs.conn.execute(f"UPDATE human_requests SET decided_at = decided_at - {A_MINUTE}")
        reconcile_runs(session.context)

    def is_kept(self, session: Session) -> None:
        run = session.runs.wait_for(self.run_id, "succeeded", "failed", "cancelled", seconds=60)
        assert run.status == "succeeded"
        assert (session.folder.workspace / "notes.md").read_text() == "only once\n"
        assert session.runs.types(run.id).count("human_loop.applied") == 1
        assert session.runs.types(run.id).count("run.finished") == 1


class Parked(Answered):
    """The agent of a parked run ends, and the run goes on after an answer."""

    def begin(self, session: Session) -> None:
        self.run_id = session.begin("write notes.md: only once", options=RunOptions(mode="ask")).id
        session.runs.wait_for(self.run_id, "waiting", seconds=60)
        session.runs.conn.execute("UPDATE human_requests SET expires_at = now(), on_expiry = 'park'")
        expire_requests(session.context)
        assert session.runs.row(self.run_id).status == "parked"

    def comes_back(self, session: Session) -> None:
        session.runs.conn.execute(f"UPDATE runs SET parked_at = parked_at - {A_MINUTE}")
        reconcile_runs(session.context)

    def is_kept(self, session: Session) -> None:
        wait_until(lambda: session.runs.row(self.run_id).lease_expires_at is None, lambda: "the agent did not end")
        self.answer(session)
        assert execute_run(session.context, self.run_id) == "started"
        super().is_kept(session)


class Requested(Promise):
    """The caller has an answer, and nothing is done for one that no longer waits."""

    def begin(self, session: Session) -> None:
        with session.runs.conn.transaction():
            self.request_id = request_job(session.runs.conn, session.runs.actor, ReconcileRuns())

    def comes_back(self, session: Session) -> None:
        with session.runs.conn.transaction():  # as the API does for a caller that was told 503
            abandon_job_request(session.runs.conn, self.request_id)

    def is_kept(self, session: Session) -> None:
        known = job_request(session.runs.conn, self.request_id)
        assert isinstance(known, JobRequestRow)
        assert known.finished_at is not None
        assert (known.result is None) == (known.error is not None)


class Saved(Promise):
    """The workspace is saved, and a state is saved once."""

    def begin(self, session: Session) -> None:
        session.say("write notes.txt: heron")
        session.at_rest()
        save_due(session.context)

    def comes_back(self, session: Session) -> None:
        session.runs.conn.execute(f"UPDATE session_workers SET sync_lock_expires_at = now() - {A_MINUTE}")
        save_due(session.context)

    def is_kept(self, session: Session) -> None:
        assert session.is_saved
        assert len({event.data["snapshotId"] for event in session.events("workspace.synced")}) == 1


PROMISES: dict[str, type[Promise]] = {
    "execute_run": Promise,
    "stop_run": Stopped,
    "park_run": Parked,
    "deliver_answer": Answered,
    "perform_request": Requested,
    "sync_workspace": Saved,
}


def test_every_kind_of_job_is_tried_here() -> None:
    assert app.tasks.keys() == PROMISES.keys() | PERIODIC | OWN


@pytest.mark.parametrize("task", PROMISES)
def test_a_job_that_an_operator_cancels_breaks_no_promise(queue: Queue, session: Session, task: str) -> None:
    promise = PROMISES[task]()
    promise.begin(session)
    queue.cancel(task)
    queue.work()
    promise.comes_back(session)
    queue.work()
    promise.is_kept(session)
    assert len(queue.jobs(task, "cancelled")) == 1


@pytest.mark.parametrize("task", PROMISES)
def test_a_job_that_an_operator_retries_is_done_once(queue: Queue, session: Session, task: str) -> None:
    promise = PROMISES[task]()
    promise.begin(session)
    queue.work()
    queue.retry(task)
    queue.work()
    promise.is_kept(session)


@pytest.mark.parametrize("task", sorted(PERIODIC))
def test_a_pass_that_an_operator_cancels_or_retries_keeps_no_later_one_away(queue: Queue, task: str) -> None:
    def defer() -> None:
        opened(lambda: app.tasks[task].defer_async(timestamp=0))

    defer()
    queue.cancel(task)
    defer()
    queue.work()
    queue.retry(task)
    queue.work()
    defer()
    queue.work()
    assert len(queue.jobs(task, "cancelled")) == 1
    assert len(queue.jobs(task, "succeeded")) == 2

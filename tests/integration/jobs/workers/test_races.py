"""Prompts, activations, stops and removals of one session at once: one worker, each prompt once, nothing lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from uuid import UUID

import psutil
import pytest

from handlers.workers.lifecycle import LifeLimits
from handlers.workers.report import report_worker
from jobs.context import TaskContext
from jobs.hosts import Host, HostFacts
from jobs.runs.execute import execute_run
from jobs.runtime.database import CHECKOUT_SECONDS, MOST_ALONE
from jobs.runtime.executor_client import Endpoint
from jobs.workers.activate import activate, holding_worker
from jobs.workers.retirement import remove_stopped, remove_worker, stop_idle
from schema.errors import Conflict
from tests.integration.jobs.conftest import Runs
from tests.integration.jobs.waiting import wait_until
from tests.integration.jobs.workers.conftest import Make, Session


@dataclass
class Paused:
    """A host whose `stop` waits: `reached` is set when it was called, and it goes on when `go_on` is."""

    real: Host
    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        return self.real.name

    def stop(self, session_id: UUID) -> None:
        self.reached.set()
        assert self.go_on.wait(60)
        self.real.stop(session_id)

    def ensure_started(self, session_id: UUID, epoch: int) -> Endpoint:
        return self.real.ensure_started(session_id, epoch)

    def facts(self, session_id: UUID) -> HostFacts:
        return self.real.facts(session_id)

    def is_dead(self, session_id: UUID) -> bool:
        return self.real.is_dead(session_id)

    def progress(self, session_id: UUID) -> tuple[int, ...] | None:
        return self.real.progress(session_id)

    def remove(self, session_id: UUID) -> None:
        self.real.remove(session_id)

    def sessions(self) -> dict[UUID, bool]:
        return dict(self.real.sessions())

    def fault(self) -> str | None:
        return self.real.fault()

    def look_after(self) -> None:
        self.real.look_after()


@pytest.fixture
def threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(8)


def executors_of(session_id: UUID) -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children():
        try:
            held = {file.path for file in process.open_files()}
        except psutil.Error:
            continue
        if any(f"/{session_id}/state/executor.lock" in path for path in held):
            found.append(process)
    return found


def test_two_activations_restore_once_into_one_worker(
    session: Session, make_saving_context: Make, threads: ThreadPoolExecutor
) -> None:
    session.say("write notes.txt: remember the heron")
    session.at_rest()
    remove_worker(session.context, session.session_id)
    shops = [session.context, make_saving_context()] * 2
    found = list(threads.map(lambda context: activate(context, session.session_id), shops))
    assert len({(each.endpoint.base_url, each.epoch) for each in found}) == 1
    assert session.epoch == 2
    assert len(session.events("workspace.restored")) == 1
    assert len(executors_of(session.session_id)) == 1


def test_a_prompt_that_comes_during_a_stop_waits_and_is_delivered_once(
    session: Session, threads: ThreadPoolExecutor
) -> None:
    session.say("write notes.txt: remember the heron")
    session.at_rest()
    paused = Paused(session.context.host)
    stopping = threads.submit(stop_idle, replace(session.context, host=paused), session.id)
    assert paused.reached.wait(60)
    assert session.status == "stopping"
    run = session.runs.start("read notes.txt", session_id=session.session_id)
    starting = threads.submit(execute_run, session.context, run.id)
    wait_until(lambda: session.runs.row(run.id).status == "starting", lambda: session.runs.row(run.id))
    paused.go_on.set()
    assert stopping.result(60).stopped in (0, 1)
    assert starting.result(60) == "started"
    done = session.runs.wait_for(run.id, "succeeded")
    assert (done.attempt, done.claim) == (1, 1)
    assert session.runs.types(run.id).count("run.started") == 1
    assert "heron" in session.text(done)
    assert (session.status, session.epoch) == ("active", 1)


def test_a_start_waits_for_a_connection_as_for_the_worker(session: Session, threads: ThreadPoolExecutor) -> None:
    session.say("say: hello")
    session.at_rest()
    session.kill_executor()
    run = session.runs.start("say: again", session_id=session.session_id)
    with ExitStack() as taken:
        for _ in range(MOST_ALONE):
            taken.enter_context(session.context.database.dedicated())
        starting = threads.submit(execute_run, session.context, run.id)
        wait_until(
            lambda: session.context.database.dedicated_pool.get_stats()["requests_waiting"], lambda: "nobody waits"
        )
        with pytest.raises(TimeoutError):
            starting.result(CHECKOUT_SECONDS + 1)
    assert starting.result(60) == "started"
    assert session.runs.wait_for(run.id, "succeeded").attempt == 1


def test_a_prompt_that_comes_before_the_stop_prevents_it(session: Session) -> None:
    session.say("say: hello")
    session.at_rest()
    run = session.begin("sleep 100")
    session.runs.wait_for(run.id, "running")
    done = stop_idle(session.context, session.id)
    assert (done.stopped, done.failed) == (0, 0)
    assert str(run.id) in done.skipped[0].reason
    with pytest.raises(Conflict, match=str(run.id)):
        remove_worker(session.context, session.session_id)
    assert session.status == "active"


def test_a_sweep_passes_over_a_worker_that_somebody_is_at(session: Session) -> None:
    session.say("say: hello")
    session.at_rest()
    with holding_worker(session.context, session.session_id, seconds=5):
        done = stop_idle(session.context, session.id)
    assert (done.stopped, done.failed) == (0, 0)
    assert "is starting or stopping" in done.skipped[0].reason


def test_sweeps_at_once_and_prompts_between_them_lose_nothing(
    session: Session, make_saving_context: Make, threads: ThreadPoolExecutor
) -> None:
    shops = [session.context, make_saving_context()]
    session.say("write notes.txt: 0")
    for number in range(1, 4):
        session.at_rest()
        sweeps: list[Callable[[TaskContext], object]] = [
            lambda context: stop_idle(context, session.id),
            lambda context: remove_stopped(context, session.id),
        ]
        swept = [threads.submit(sweep, context) for context in shops for sweep in sweeps]
        run = session.say(f"read notes.txt\nwrite notes.txt: {number}")
        assert f"begins: {number - 1}" in session.text(run)
        assert session.runs.types(run.id).count("run.finished") == 1
        for each in swept:
            each.result(120)
    assert session.events("run.warning") == []
    assert len(executors_of(session.session_id)) <= 1


def test_a_worker_tells_its_user_that_all_is_saved(session: Session, runs: Runs) -> None:
    session.say("write notes.txt: one")
    session.say("write notes.txt: two")
    session.at_rest()
    stop_idle(session.context, session.id)
    with runs.conn.transaction():
        told = report_worker(runs.conn, session.session_id, default=LifeLimits(idle_stop=900, remove_after=3600))
    assert (told.sync.saved_up_to_run_number, told.sync.unsaved_files) == (2, 0)
    assert told.sync.summary == "Saved up to run 2, 0 files unsaved."
    assert told.next_deadline is not None

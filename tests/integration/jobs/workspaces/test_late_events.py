"""Work on a worker or its workspace that takes long is told while it lasts; quick work leaves no event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast
from uuid import UUID

import psycopg
import pytest

from jobs.context import TaskContext
from jobs.hosts import Host, HostFacts
from jobs.runtime.executor_client import Endpoint
from jobs.workers.activate import activate
from jobs.workspaces.restore import RestoreIncomplete
from schema.wire import Json
from tests.integration.jobs.stand_in import Reply, StandIn
from tests.integration.jobs.waiting import wait_until
from tests.integration.jobs.workspaces.conftest import Session
from tests.integration.jobs.workspaces.saver import Saver, contents
from tests.integration.jobs.workspaces.test_saving import save_all

OPERATION = "0b5ed7a0-39c1-4a35-8a31-7c5d8d9b7d11"
WaitFor = Callable[..., None]


@pytest.fixture
def wait_for(database: str, session: Session) -> WaitFor:
    """Waits until the session's log holds so many events of a type."""

    def count(type_: str) -> int:
        with psycopg.connect(database) as conn:
            counted = "SELECT count(*) FROM run_events WHERE session_id = %s AND type = %s"
            return int(conn.execute(counted, (session.id, type_)).fetchall()[0][0])

    def wait(type_: str, times: int = 1) -> None:
        wait_until(lambda: count(type_) >= times, lambda: f"{type_} did not come {times} times")

    return wait


def test_a_long_sync_is_told_and_its_end_too(
    context: TaskContext, session: Session, saver: Saver, wait_for: WaitFor
) -> None:
    saver.files = contents("abc")
    saver.before_put = lambda _key: wait_for("workspace.syncing")
    run = session.run()
    assert save_all(context, session) == ["saved"]
    [syncing], [synced] = session.events("workspace.syncing"), session.events("workspace.synced")
    assert (syncing.author, syncing.data, syncing.run_id) == ("system", {"reason": "run"}, None)
    assert (syncing.seq < synced.seq, synced.data["runId"]) == (True, str(run.id))


def test_a_quick_sync_is_not_announced(
    context: TaskContext, session: Session, saver: Saver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.runtime.late_events.LATE_SECONDS", 60.0)
    saver.files = contents("abc")
    session.run()
    assert save_all(context, session) == ["saved"]
    assert session.events("workspace.syncing") == []


def test_a_restore_tells_how_far_it_is(
    context: TaskContext,
    session: Session,
    saver: Saver,
    executor: StandIn,
    wait_for: WaitFor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jobs.workspaces.restore.PROGRESS_SECONDS", 0.0)
    saver.files = contents("abc")
    session.run()
    save_all(context, session)
    session.conn.execute("UPDATE session_workers SET restored_at = NULL")
    executor.fail(
        Reply(202, {"operationId": OPERATION}),
        replace(_at(0), meanwhile=lambda: wait_for("workspace.restoring")),
        _at(5),
        replace(_at(9, state="failed"), meanwhile=lambda: wait_for("workspace.restoring", 2)),
    )
    with pytest.raises(RestoreIncomplete):
        activate(context, session.id)
    told = [event.data for event in session.events("workspace.restoring")]
    assert told == [{"files": 3, "bytes": 9, "done": done} for done in (0, 5)]


def _at(done: int, *, state: str = "running") -> Reply:
    progress = {"step": "downloading", "bytes": done}
    told: Json = {"operationId": OPERATION, "kind": "restore", "state": state, "progress": progress}
    return Reply(200, told | ({"error": "It broke."} if state == "failed" else {}))


@dataclass(frozen=True)
class SlowHost:
    """A host whose executor is started only when `meanwhile` returns."""

    host: Host
    meanwhile: Callable[[], None]

    @property
    def name(self) -> str:
        return self.host.name

    def fault(self) -> str | None:
        return self.host.fault()

    def facts(self, session_id: UUID) -> HostFacts:
        return self.host.facts(session_id)

    def ensure_started(self, session_id: UUID, epoch: int) -> Endpoint:
        self.meanwhile()
        return self.host.ensure_started(session_id, epoch)


def test_a_slow_start_is_told_and_when_it_is_done(context: TaskContext, session: Session, wait_for: WaitFor) -> None:
    session.conn.execute("UPDATE session_workers SET status = 'stopped', base_url = NULL")
    slow = SlowHost(context.host, lambda: wait_for("worker.starting"))
    activate(replace(context, host=cast("Host", slow)), session.id, why="Somebody asked.")
    [starting], [ready] = session.events("worker.starting"), session.events("worker.ready")
    assert (starting.data, starting.author) == ({"reason": "Somebody asked."}, "system")
    assert ready.data["seconds"] >= 1


def test_a_quick_start_is_not_told(context: TaskContext, session: Session) -> None:
    session.conn.execute("UPDATE session_workers SET status = 'stopped', base_url = NULL")
    activate(context, session.id)
    assert session.events("worker.starting") == session.events("worker.ready") == []

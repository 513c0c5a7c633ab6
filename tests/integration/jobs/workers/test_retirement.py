"""A worker that is idle is saved and stopped, one that is stopped for long is removed, and both come back whole."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from handlers.workers.rows import announce_presence
from handlers.workspaces.sync import take_sync_lease
from jobs.workers.activate import activate
from jobs.workers.requests import sync_worker
from jobs.workers.retirement import look_after_workers, remove_stopped, stop_idle
from schema.job_requests import SyncWorker
from tests.integration.jobs.conftest import JobWorker
from tests.integration.jobs.waiting import wait_until
from tests.integration.jobs.workers.conftest import Session


def test_an_idle_worker_is_saved_and_stopped_and_goes_on_where_it_was(session: Session) -> None:
    session.say("write notes.txt: remember the heron")
    session.at_rest()
    done = stop_idle(session.context, session.id)
    assert (done.scanned, done.stopped, done.failed, done.skipped) == (1, 1, 0, [])
    assert session.status == "stopped"
    assert session.worker.head_snapshot is not None
    assert session.is_saved
    assert session.context.host.facts(session.session_id).state == "dead"
    again = session.say("read notes.txt")
    assert "heron" in session.text(again)
    assert (session.status, session.epoch) == ("active", 1)
    assert session.events("workspace.restored") == []


def test_a_removed_worker_comes_back_in_a_new_epoch_with_its_files(session: Session) -> None:
    session.say("write notes.txt: remember the heron")
    session.at_rest()
    stop_idle(session.context, session.id)
    done = remove_stopped(session.context, session.id)
    assert (done.scanned, done.removed, done.failed, done.skipped) == (1, 1, 0, [])
    assert session.status == "absent"
    assert not session.folder.exists()
    again = session.say("read notes.txt")
    assert "heron" in session.text(again)
    assert (session.epoch, session.worker.epoch, again.epoch) == (2, 2, 2)
    [restored] = session.events("workspace.restored")
    assert restored.data["snapshotId"] == str(session.worker.head_snapshot) or restored.data["files"] > 0
    assert session.events("run.warning") == []


def test_a_sync_of_a_stopped_saved_worker_answers_its_head_and_records_no_failure(session: Session) -> None:
    session.say("write notes.txt: heron")
    session.at_rest()
    stop_idle(session.context, session.id)
    head = session.worker.head_snapshot
    assert session.id is not None
    synced = len(session.events("workspace.synced"))
    assert sync_worker(session.context, SyncWorker(session_id=session.id)).snapshot_id == head
    assert head is not None
    assert session.status == "stopped"
    assert session.events("workspace.sync_failed") == []
    assert len(session.events("workspace.synced")) == synced


def test_nothing_is_stopped_before_its_limit(session: Session) -> None:
    session.say("say: hello")
    session.at_rest()
    assert look_after_workers(session.context) == []
    done = stop_idle(session.context)
    assert (done.stopped, [kept.reason[:19] for kept in done.skipped]) == (0, ["The worker is idle;"])
    session.age("20 minutes")
    look_after_workers(session.context)
    assert session.status == "stopped"
    look_after_workers(session.context)
    assert session.status == "stopped"
    session.age("8 days")
    look_after_workers(session.context)
    assert session.status == "absent"
    told = [(each.what, each.detail["reason"]) for each in session.history if each.what.startswith("worker.")]
    assert [what for what, _ in told] == ["worker.removing", "worker.stopping", "worker.starting"]
    assert "stopped for longer" in told[0][1]
    assert "idle for longer" in told[1][1]
    assert "Run " in told[2][1]


def test_an_activation_without_a_run_brings_a_removed_worker_back(session: Session) -> None:
    session.say("write notes.txt: remember the heron")
    session.at_rest()
    stop_idle(session.context, session.id)
    remove_stopped(session.context, session.id)
    assert activate(session.context, session.session_id).epoch == 2
    assert (session.folder.workspace / "notes.txt").read_text().strip() == "remember the heron"


def test_passes_over_a_worker_that_is_saved_for_long_leave_room_for_runs(
    session: Session, make_job_worker: Callable[..., JobWorker], database: str
) -> None:
    session.say("write notes.txt: much")
    session.at_rest()
    session.age("20 minutes")
    saver, conn = psycopg.connect(database, autocommit=True), session.runs.conn
    announce_presence(saver, "another")
    with conn.transaction():
        assert take_sync_lease(conn, session.session_id, owner="another", lock_seconds=3600) is not None
    make_job_worker(WORKER_CONCURRENCY="2", RECONCILE_SECONDS="1")
    passes = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'look_after_workers' AND status = 'succeeded'"
    wait_until(lambda: conn.execute(passes).fetchone() != (0,), lambda: "no pass has ended")
    assert session.runs.wait_for(session.runs.start("say: hello").id, "succeeded").attempt == 1
    assert session.status == "active"
    saver.close()


def test_a_pass_does_not_wait_for_a_save_that_goes_on(session: Session) -> None:
    session.say("write notes.txt: much")
    session.at_rest()
    conn = session.runs.conn
    with conn.transaction():
        assert take_sync_lease(conn, session.session_id, owner="another", lock_seconds=3600) is not None
    session.age("20 minutes")
    done = stop_idle(session.context)
    assert (done.stopped, done.failed) == (0, 0)
    assert "still running" in done.skipped[0].reason

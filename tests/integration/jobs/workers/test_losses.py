"""What becomes of a session when its executor dies, its place is lost, or the store does not do what it should."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from uuid import UUID

import pytest

from handlers.workers.lifecycle import LifeLimits
from handlers.workers.report import report_worker, why_worker
from handlers.workers.retirement import watch
from jobs.runs.execute import execute_run
from jobs.runs.reconcile import look_after_executors, reconcile_runs
from jobs.workers.activate import activate
from jobs.workers.retirement import force_remove_worker, look_after_workers, remove_stopped, remove_worker, stop_idle
from jobs.workspaces.restore import RestoreIncomplete
from jobs.workspaces.sync import save_now
from schema.errors import Conflict
from schema.runtime_manifest import read_runtime_manifest
from schema.sql import jsonb
from tests.integration.jobs.waiting import wait_until
from tests.integration.jobs.workers.conftest import Session
from tests.store_faults import Fault, HurtStore

LIMITS = LifeLimits(idle_stop=900, remove_after=3600)


@dataclass
class Way:
    """The way to the store. `refuse`: from now on it refuses everything, or the objects of a session alone, and nobody
    tries again."""

    store: HurtStore

    def refuse(self, session_id: UUID | None = None) -> None:
        self.store.hurt(Fault(status=400, times=None, part_of_key=str(session_id or "")))

    def heal(self) -> None:
        self.store.heal()


@pytest.fixture
def way(hurt_store: HurtStore) -> Way:
    return Way(hurt_store)


def retired(session: Session) -> None:
    """Saved, stopped and removed."""
    session.at_rest()
    assert stop_idle(session.context, session.id).stopped == 1
    assert remove_stopped(session.context, session.id).removed == 1


def test_a_lost_folder_gives_the_last_snapshot_and_a_warning_to_the_session(session: Session) -> None:
    session.say("write saved.txt: one")
    session.at_rest()
    save_now(session.context, session.session_id, "requested")
    session.say("write unsaved.txt: two")
    session.at_rest()
    session.kill_executor()
    shutil.rmtree(session.folder.root)
    session.say("read saved.txt")
    assert session.epoch == 2
    assert (session.folder.workspace / "saved.txt").exists()
    assert not (session.folder.workspace / "unsaved.txt").exists()
    [warning] = session.events("run.warning")
    assert (warning.data["code"], warning.run_id) == ("workspace_may_miss_changes", None)
    assert warning.data["since"].endswith("Z")
    assert len(session.events("workspace.restored")) == 1


def test_a_lost_folder_that_was_saved_is_no_loss(session: Session) -> None:
    session.say("write saved.txt: one")
    session.at_rest()
    stop_idle(session.context, session.id)
    shutil.rmtree(session.folder.root)
    look_after_workers(session.context)
    assert session.status == "absent"
    session.say("read saved.txt")
    assert session.epoch == 2
    assert session.events("run.warning") == []


def test_a_killed_executor_is_started_again_on_its_own_place_to_be_saved(session: Session) -> None:
    session.say("write notes.txt: one")
    session.at_rest()
    session.kill_executor()
    look_after_workers(session.context)
    assert (session.status, session.epoch) == ("active", 1)
    session.at_rest()
    assert stop_idle(session.context, session.id).stopped == 1
    assert session.is_saved


def test_a_killed_executor_whose_work_is_saved_counts_as_stopped(session: Session) -> None:
    session.say("write notes.txt: one")
    session.at_rest()
    save_now(session.context, session.session_id, "requested")
    session.kill_executor()
    look_after_workers(session.context)
    assert session.status == "stopped"


def test_a_stopped_workers_lost_workspace_comes_back_from_its_snapshot(session: Session) -> None:
    session.say("write notes.txt: remember the heron")
    session.at_rest()
    stop_idle(session.context, session.id)
    shutil.rmtree(session.folder.workspace)
    again = session.say("read notes.txt")
    assert "heron" in session.text(again)
    assert session.epoch == 2


def test_a_damaged_place_keeps_no_other_run_from_being_reconciled(session: Session) -> None:
    run = session.begin("sleep 100")
    session.runs.wait_for(run.id, "running")
    session.kill_executor()
    mark = session.folder.epoch_file.read_text()
    session.folder.epoch_file.write_text("")
    others = [session.runs.start("say: hello") for _ in range(4)]
    conn = session.runs.conn
    conn.execute("DELETE FROM procrastinate_jobs")
    conn.execute("UPDATE runs SET next_attempt_at = now() - interval '1 hour' WHERE status = 'queued'")
    conn.execute("UPDATE session_logs SET lease_expires_at = now() - interval '1 hour' WHERE run_id = %s", (run.id,))
    done = reconcile_runs(session.context)
    assert (done.scanned, done.dispatched) == (5, len(others))
    look_after_workers(session.context)
    session.folder.epoch_file.write_text(mark)


def test_a_run_whose_folder_is_lost_gets_another_attempt_in_a_new_place(session: Session) -> None:
    run = session.begin("sleep 100", max_attempts=1)
    session.runs.wait_for(run.id, "running")
    session.kill_executor()
    shutil.rmtree(session.folder.root)
    look_after_executors(session.context)
    failed = session.runs.wait_for(run.id, "failed")
    assert failed.reason_code == "workspace_lost"
    assert (session.epoch, failed.epoch) == (2, 1)
    assert [event.data["code"] for event in session.events("run.warning")] == ["workspace_may_miss_changes"]
    assert session.say("say: hello").epoch == 2


def test_without_a_store_a_worker_is_kept_and_says_why(session: Session, way: Way) -> None:
    session.say("write notes.txt: one")
    session.at_rest()
    way.refuse()
    done = stop_idle(session.context, session.id)
    assert (done.stopped, done.failed, session.status) == (0, 1, "active")
    assert done.skipped[0].reason
    with pytest.raises(Conflict, match="not removed"):
        remove_worker(session.context, session.session_id)
    assert session.worker.sync_failures > 0
    with session.runs.conn.transaction():
        told = report_worker(session.runs.conn, session.session_id, default=LIMITS)
        why = why_worker(session.runs.conn, session.session_id, default=LIMITS)
    assert told.sync.is_saved is False
    assert why.blocked_by
    way.heal()
    session.runs.conn.execute("UPDATE session_workers SET next_sync_at = now()")
    assert stop_idle(session.context, session.id).stopped == 1


def test_a_stopped_worker_is_not_removed_when_its_snapshot_cannot_be_proven(session: Session, way: Way) -> None:
    session.say("write notes.txt: one")
    session.at_rest()
    stop_idle(session.context, session.id)
    way.refuse()
    done = remove_stopped(session.context, session.id)
    assert (done.removed, done.failed) == (0, 1)
    assert session.folder.exists()
    way.heal()
    session.runs.conn.execute("UPDATE session_workers SET next_sync_at = now()")
    wait_until(
        lambda: remove_worker(session.context, session.session_id).session_id == session.id, lambda: session.worker
    )
    assert not session.folder.exists()


def test_a_snapshot_that_has_gone_from_the_store_is_made_again_before_removal(session: Session) -> None:
    session.say("write notes.txt: remember the heron")
    session.at_rest()
    stop_idle(session.context, session.id)
    assert session.context.store is not None
    keys = [each.key for each in session.context.store.list(f"sessions/{session.id}/")]
    session.context.store.delete(keys)
    assert remove_stopped(session.context, session.id).removed == 1
    again = session.say("read notes.txt")
    assert "heron" in session.text(again)


def test_a_run_never_starts_on_half_a_workspace(session: Session, way: Way) -> None:
    session.say("write notes.txt: remember the heron")
    retired(session)
    way.refuse(session.session_id)
    run = session.runs.start("read notes.txt", session_id=session.session_id, max_attempts=2)
    assert execute_run(session.context, run.id) == "requeued"
    assert execute_run(session.context, run.id) == "ended"
    blocked = session.runs.row(run.id)
    assert (blocked.status, blocked.reason_code) == ("blocked", "restore_incomplete")
    assert "Try again" in (blocked.reason_message or "")
    assert session.status == "lost"
    way.heal()
    again = session.say("read notes.txt")
    assert "heron" in session.text(again)
    assert session.epoch == 2


def test_a_half_restored_worker_that_nobody_needs_is_let_go(session: Session, way: Way) -> None:
    session.say("write notes.txt: one")
    retired(session)
    way.refuse(session.session_id)
    with pytest.raises(RestoreIncomplete):
        activate(session.context, session.session_id)
    way.heal()
    session.age("20 minutes")
    look_after_workers(session.context)
    assert session.status == "stopped"
    assert remove_stopped(session.context, session.id).removed == 1
    assert (session.say("read notes.txt").epoch, session.epoch) == (3, 3)


def test_only_the_named_force_removes_what_is_not_saved(session: Session, way: Way) -> None:
    session.say("write notes.txt: one")
    session.at_rest()
    way.refuse()
    done = force_remove_worker(session.context, session.session_id, actor="user:7", reason="the disk is needed")
    assert done.lost is not None
    assert (done.lost.is_anything, done.lost.newest_snapshot) == (True, None)
    assert done.lost.unsaved_steps > 0
    assert (session.status, session.folder.exists()) == ("absent", False)
    found = session.runs.conn.execute("SELECT actor, action, detail ->> 'reason' FROM audit_log ORDER BY id").fetchall()
    assert found[-1] == ("user:7", "worker.force_removed", "the disk is needed")
    assert [event.data["code"] for event in session.events("run.warning")] == ["workspace_may_miss_changes"]
    way.heal()
    assert session.say("say: hello").epoch == 2


def test_force_stops_at_a_live_run(session: Session) -> None:
    run = session.begin("sleep 100")
    session.runs.wait_for(run.id, "running")
    with pytest.raises(Conflict, match="stop the run first"):
        force_remove_worker(session.context, session.session_id, actor="user:7", reason="now")
    assert session.folder.exists()


def test_an_executor_that_its_row_calls_stopped_is_ended(session: Session) -> None:
    session.say("say: hello")
    session.at_rest()
    save_now(session.context, session.session_id, "requested")
    session.runs.conn.execute("UPDATE session_workers SET status = 'stopped', base_url = NULL")
    look_after_workers(session.context)
    assert session.status == "stopped"
    assert session.context.host.is_dead(session.session_id)


@pytest.mark.parametrize("status", ["starting", "stopping", "removing", "lost"])
def test_whatever_was_interrupted_comes_to_rest_and_nothing_is_lost(session: Session, status: str) -> None:
    session.say("write notes.txt: remember the heron")
    session.at_rest()
    session.runs.conn.execute("UPDATE session_workers SET status = %s::worker_status", (status,))
    look_after_workers(session.context)
    look_after_workers(session.context)
    assert session.status in ("active", "stopped", "absent")
    again = session.say("read notes.txt")
    assert "heron" in session.text(again)


def test_an_apps_seeds_are_there_before_its_first_run(session: Session) -> None:
    manifest = {
        "seedFiles": [{"path": "/workspace/seed.txt", "content": "sown"}],
        "requiredPaths": ["/workspace/seed.txt"],
    }
    stored = jsonb(read_runtime_manifest(manifest).to_json())
    session.runs.conn.execute("UPDATE apps SET manifest = %s", (stored,))
    run = session.say("read seed.txt")
    assert "sown" in session.text(run)
    assert session.epoch == 1
    with session.runs.conn.transaction():
        assert watch(session.runs.conn, session.session_id).restored_at is not None


def test_a_run_is_blocked_when_what_it_requires_is_not_there(session: Session) -> None:
    manifest = {"requiredPaths": ["/workspace/not-there"]}
    session.runs.conn.execute("UPDATE apps SET manifest = %s", (jsonb(read_runtime_manifest(manifest).to_json()),))
    run = session.runs.start("say: hello")
    assert execute_run(session.context, run.id) == "ended"
    blocked = session.runs.row(run.id)
    assert (blocked.status, blocked.reason_code) == ("blocked", "required_paths_missing")

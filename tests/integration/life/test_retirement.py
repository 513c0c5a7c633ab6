"""A worker that is idle is saved and stopped, one that is stopped for long is removed, and both come back whole."""

from __future__ import annotations

from jobs.activate import activate
from jobs.retire import look_after_workers, remove_stopped, stop_idle
from tests.integration.life.conftest import Session


def test_an_idle_worker_is_saved_and_stopped_and_goes_on_where_it_was(session: Session) -> None:
    session.say("write notes.txt: remember the heron")
    session.at_rest()
    done = stop_idle(session.shop, session.id)
    assert (done.scanned, done.stopped, done.failed, done.skipped) == (1, 1, 0, [])
    assert session.status == "stopped"
    assert session.worker.head_snapshot is not None
    assert session.is_saved
    assert session.shop.host.facts(session.session_id).state == "dead"
    again = session.say("read notes.txt")
    assert "heron" in session.text(again)
    assert (session.status, session.epoch) == ("active", 1)
    assert session.events("workspace.restored") == []


def test_a_removed_worker_comes_back_in_a_new_epoch_with_its_files(session: Session) -> None:
    session.say("write notes.txt: remember the heron")
    session.at_rest()
    stop_idle(session.shop, session.id)
    done = remove_stopped(session.shop, session.id)
    assert (done.scanned, done.removed, done.failed, done.skipped) == (1, 1, 0, [])
    assert session.status == "absent"
    assert not session.folder.exists()
    again = session.say("read notes.txt")
    assert "heron" in session.text(again)
    assert (session.epoch, session.worker.epoch, again.epoch) == (2, 2, 2)
    [restored] = session.events("workspace.restored")
    assert restored.data["snapshotId"] == str(session.worker.head_snapshot) or restored.data["files"] > 0
    assert session.events("run.warning") == []


def test_nothing_is_stopped_before_its_limit(session: Session) -> None:
    session.say("say: hello")
    session.at_rest()
    assert look_after_workers(session.shop) == []
    done = stop_idle(session.shop)
    assert (done.stopped, [kept.reason for kept in done.skipped]) == (0, ["It is idle."])
    session.age("20 minutes")
    look_after_workers(session.shop)
    assert session.status == "stopped"
    look_after_workers(session.shop)
    assert session.status == "stopped"
    session.age("8 days")
    look_after_workers(session.shop)
    assert session.status == "absent"
    told = [(each.what, each.detail["reason"]) for each in session.history if each.what.startswith("worker.")]
    assert [what for what, _ in told] == ["worker.removing", "worker.stopping", "worker.starting"]
    assert "stopped for longer" in told[0][1]
    assert "idle for longer" in told[1][1]
    assert "Run " in told[2][1]


def test_an_activation_without_a_run_brings_a_removed_worker_back(session: Session) -> None:
    session.say("write notes.txt: remember the heron")
    session.at_rest()
    stop_idle(session.shop, session.id)
    remove_stopped(session.shop, session.id)
    assert activate(session.shop, session.session_id).epoch == 2
    assert (session.folder.workspace / "notes.txt").read_text().strip() == "remember the heron"

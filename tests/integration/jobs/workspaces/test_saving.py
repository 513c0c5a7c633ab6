"""What becomes unsaved when, whose turn it is to save it, and what a save leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from handlers.workspaces.sync import forget_unsaved, is_saved, take_sync_lease, unsaved
from jobs.context import TaskContext
from jobs.object_store.s3 import Bucket, make_store
from jobs.workspaces.sync import NotSaved, save_due, save_now, sync_workspace
from schema.object_keys import manifest_key
from schema.snapshot_manifest import read_snapshot_manifest
from schema.sql import Conn
from tests.checker import check
from tests.integration.handlers.conftest import run_now
from tests.integration.jobs.workspaces.conftest import Session, due_jobs
from tests.integration.jobs.workspaces.saver import Saver, contents
from tests.object_stores import RunningStore
from tests.store_faults import HurtStore


def save_all(context: TaskContext, session: Session) -> list[str]:
    """The sweep, and its jobs one after the other."""
    save_due(context)
    return [sync_workspace(context, id_, claim) for id_, claim in due_jobs(session.conn)]


def seconds_until_due(session: Session) -> float | None:
    rows = session.conn.execute("SELECT extract(epoch FROM next_sync_at - now()) FROM session_workers").fetchall()
    return None if rows[0][0] is None else float(rows[0][0])


def why(session: Session) -> str | None:
    reason = unsaved(session.conn, session.id)
    return None if reason is None else reason.code


def test_a_worker_in_which_nothing_ran_has_nothing_unsaved(context: TaskContext, session: Session) -> None:
    assert why(session) is None
    assert save_all(context, session) == []


def test_a_run_at_work_makes_its_worker_dirty_and_asks_for_no_save_yet(context: TaskContext, session: Session) -> None:
    session.begin_run()
    assert session.state.dirty_since is not None
    assert seconds_until_due(session) is None
    assert why(session) == "live_run"
    assert save_all(context, session) == []


def test_the_lines_of_a_save_name_the_executor_that_saves(
    context: TaskContext, session: Session, saver: Saver, hurt_store: HurtStore
) -> None:
    saver.files = contents("abc")
    session.run()
    with capture_logs(processors=[merge_contextvars]) as lines:
        hurt_store.fail(times=None)
        assert save_all(context, session) == ["failed"]
        hurt_store.heal()
        session.make_due()
        assert save_all(context, session) == ["saved"]
    assert [line["event"] for line in lines] == ["sync.failed", "sync.committed"]
    assert [line.get("executorId") for line in lines] == [f"{session.id}:1"] * 2


def test_a_message_asks_for_a_save_soon_and_many_for_one(context: TaskContext, session: Session, saver: Saver) -> None:
    run = session.begin_run()
    saver.files = contents("abc")
    session.stop_message(run)
    first = session.state.next_sync_at
    session.stop_message(run)
    assert session.state.next_sync_at == first
    assert 0 < (seconds_until_due(session) or 0) <= 2
    session.make_due()
    assert save_all(context, session) == ["saved"]
    [snapshot] = session.snapshots
    assert (snapshot.reason, snapshot.at_rest, snapshot.run_id) == ("message", False, run.id)
    assert (snapshot.files, snapshot.changed) == (3, 3)
    assert session.state.dirty_since is not None, "its run is still at work"
    assert saver.asked[0].at_rest is False


def test_the_end_of_a_run_is_saved_at_once_and_then_nothing_is_unsaved(
    context: TaskContext, session: Session, saver: Saver, object_store: RunningStore, database: str
) -> None:
    run = session.begin_run()
    saver.files = contents("abc")
    session.end_run(run)
    assert why(session) == "unsaved"
    assert save_all(context, session) == ["saved"]
    [snapshot] = session.snapshots
    assert (snapshot.number, snapshot.reason, snapshot.at_rest, snapshot.run_id) == (1, "run", True, run.id)
    assert session.state.head_snapshot == snapshot.id
    assert session.state.dirty_since is None
    assert is_saved(session.conn, session.id)
    data = object_store.open().read(manifest_key(session.id, snapshot.id))
    read_snapshot_manifest(data, session_id=session.id, snapshot_id=snapshot.id, digest=snapshot.manifest_digest)
    [event] = session.events("workspace.synced")
    assert event.data["snapshotId"] == str(snapshot.id)
    assert (event.data["files"], event.data["changed"], event.data["bytes"]) == (3, 3, 9)
    assert (event.data["reason"], "cause" in event.data) == (snapshot.reason, False)
    assert (event.data["runId"], event.data["runNumber"]) == (str(run.id), 1)
    assert event.run_id is None, "the run's own events have ended"
    check(database, stored=object_store.keys())


def test_a_second_run_saves_only_what_it_changed(context: TaskContext, session: Session, saver: Saver) -> None:
    saver.files = contents("abc")
    session.run()
    save_all(context, session)
    saver.files["d"] = b"new"
    second = session.run()
    assert save_all(context, session) == ["saved"]
    one, two = session.snapshots
    assert (two.number, two.changed, two.run_id) == (2, 1, second.id)
    assert saver.asked[-1].head == one.id
    assert len(set(one.objects) & set(two.objects)) == 3


def test_a_run_that_changed_nothing_makes_no_snapshot_and_leaves_nothing_unsaved(
    context: TaskContext, session: Session, saver: Saver
) -> None:
    saver.files = contents("abc")
    session.run()
    save_all(context, session)
    session.run()
    assert why(session) == "unsaved"
    assert save_all(context, session) == ["saved"]
    assert len(session.snapshots) == 1
    assert why(session) is None
    assert [event.data["changed"] for event in session.events("workspace.synced")] == [3]


def test_what_a_run_did_while_it_was_saved_stays_unsaved(context: TaskContext, session: Session, saver: Saver) -> None:
    saver.files = contents("abc")
    run = session.begin_run()
    session.stop_message(run)
    session.make_due()

    def meanwhile(_key: str) -> None:
        saver.before_put = str
        session.end_run(run)

    saver.before_put = meanwhile
    assert save_all(context, session) == ["saved"]
    assert why(session) == "unsaved"
    assert session.state.next_sync_at is not None
    assert save_all(context, session) == ["saved"]
    assert why(session) is None


def test_a_run_that_began_and_ended_while_the_one_before_was_saved_stays_unsaved(
    context: TaskContext, session: Session, saver: Saver
) -> None:
    saver.files = contents("abc")
    session.run()

    def meanwhile(_key: str) -> None:
        saver.before_put = str
        session.run()

    saver.before_put = meanwhile
    assert save_all(context, session) == ["saved"]
    assert why(session) == "unsaved"
    assert save_all(context, session) == ["saved"]
    assert why(session) is None


def test_a_parked_run_does_not_shut_the_gate_once_its_agent_has_ended(context: TaskContext, session: Session) -> None:
    run = session.begin_run()
    session.conn.execute("UPDATE runs SET status = 'waiting' WHERE id = %s", (run.id,))
    session.conn.execute("UPDATE runs SET status = 'parked' WHERE id = %s", (run.id,))
    assert why(session) == "live_run"
    session.conn.execute("UPDATE session_logs SET lease_expires_at = NULL WHERE run_id = %s", (run.id,))
    assert why(session) == "unsaved"
    session.make_due()
    assert save_all(context, session) == ["saved"]
    assert why(session) is None


def test_a_bound_run_makes_nothing_dirty(session: Session) -> None:
    run = session.begin_run()
    session.conn.execute("UPDATE runs SET bound = true WHERE id = %s", (run.id,))
    session.conn.execute("UPDATE session_workers SET dirty_since = NULL, dirty_seq = 0")
    session.stop_message(run)
    session.end_run(run)
    assert session.state.dirty_since is None


def test_saving_now_saves_and_a_second_time_only_proves(
    context: TaskContext, session: Session, saver: Saver, object_store: RunningStore
) -> None:
    saver.files = contents("abc")
    session.run()
    head = save_now(context, session.id, "stop")
    assert [snapshot.id for snapshot in session.snapshots] == [head]
    assert session.snapshots[0].reason == "stop"
    assert save_now(context, session.id, "remove") == head
    assert len(saver.asked) == 1
    object_store.open().delete([session.snapshots[0].objects[0]])
    again = save_now(context, session.id, "remove")
    assert again not in (None, head), "an object had gone: all is saved anew"
    assert saver.asked[-1].head is None


def test_saving_on_request_always_looks(context: TaskContext, session: Session, saver: Saver) -> None:
    saver.files = contents("a")
    first = save_now(context, session.id, "requested")
    saver.files = contents("ab")
    second = save_now(context, session.id, "requested")
    assert [snapshot.id for snapshot in session.snapshots] == [first, second]


def test_there_is_nothing_to_save_without_a_worker(context: TaskContext, session: Session) -> None:
    assert save_now(context, uuid4(), "stop") is None
    session.conn.execute("UPDATE session_workers SET status = 'absent'")
    assert save_now(context, session.id, "stop") is None


def test_saving_now_waits_for_a_save_that_goes_on_and_says_when_it_does_not_end(
    context: TaskContext, session: Session
) -> None:
    session.run()
    assert take_sync_lease(session.conn, session.id, owner="another", lock_seconds=60)
    assert why(session) == "syncing"
    with pytest.raises(NotSaved, match="still running"):
        save_now(context, session.id, "stop", wait_seconds=0)


def test_an_empty_place_is_never_saved_over_what_is_saved(context: TaskContext, session: Session, saver: Saver) -> None:
    saver.files = contents("abc")
    session.run()
    save_all(context, session)
    session.conn.execute("UPDATE session_workers SET epoch = 2")
    session.conn.execute("UPDATE session_logs SET epoch = 2")
    saver.files = {}
    session.run()
    assert save_all(context, session) == ["failed"]
    assert "not completely restored" in (session.state.sync_error or "")
    session.conn.execute(
        "INSERT INTO restores (session_id, epoch, state, receipt) VALUES (%s, 2, 'done', '{}')", (session.id,)
    )
    session.make_due()
    assert save_all(context, session) == ["saved"]
    assert [snapshot.epoch for snapshot in session.snapshots] == [1, 2]


def test_what_went_with_a_lost_place_is_told_and_forgotten(session: Session) -> None:
    session.run()
    assert forget_unsaved(session.conn, session.id)
    assert why(session) is None
    assert not forget_unsaved(session.conn, session.id)


def test_only_a_few_sessions_are_saved_at_once(
    context: TaskContext, make_session: Callable[[], Session], conn: Conn
) -> None:
    sessions = [make_session() for _ in range(6)]
    for each in sessions:
        each.run()
    save_due(context)
    save_due(context)
    first = due_jobs(conn)
    assert len(first) == 4
    assert [sync_workspace(context, *job) for job in first] == ["saved"] * 4
    save_due(context)
    assert len(due_jobs(conn)) == 2


def test_links_of_a_save_end_when_the_setting_says(context: TaskContext, session: Session, saver: Saver) -> None:
    assert isinstance(context.store, Bucket)
    store = make_store(replace(context.store.settings, link_seconds=123))
    saver.files = contents("abc")
    session.run()

    assert save_all(replace(context, store=store), session) == ["saved"]

    assert saver.links
    assert [link for link in saver.links if "X-Amz-Expires=123&" not in f"{link}&"] == []


def test_saves_while_a_person_is_awaited_tell_each_state_once(
    context: TaskContext, session: Session, saver: Saver
) -> None:
    run = session.begin_run()
    saver.files = contents("abc")
    asked = {"requestId": str(uuid4()), "kind": "permission", "title": "Write", "fingerprint": "f"}
    session.say(run, "human_loop.requested", **asked)
    for _ in range(3):
        session.make_due()
        assert save_all(context, session) == ["saved"]
    assert run_now(session.conn, run.id).status == "waiting"
    assert [event.data["changed"] for event in session.events("workspace.synced")] == [3]
    saver.files = contents("abcd")
    session.make_due()
    assert save_all(context, session) == ["saved"]
    assert [event.data["changed"] for event in session.events("workspace.synced")] == [3, 1]

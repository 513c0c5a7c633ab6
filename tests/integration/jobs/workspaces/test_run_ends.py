"""Each run of a queue has a snapshot of its own end, and no later state counts as saved by it."""

from __future__ import annotations

from uuid import UUID

import pytest

from handlers.access.permissions import Actor
from handlers.files.choose import snapshot_to_read
from handlers.workspaces.sync import unsaved
from handlers.workspaces.uploads import keep_upload, upload_content, upload_placed
from jobs.context import TaskContext
from jobs.workspaces.sync import NotSaved, save_now
from schema.rows import RunRow
from tests.checker import check
from tests.integration.jobs.workspaces.conftest import Session
from tests.integration.jobs.workspaces.saver import Saver, contents
from tests.integration.jobs.workspaces.test_saving import save_all
from tests.object_stores import RunningStore


def queued_runs(session: Session, saver: Saver) -> list[RunRow]:
    """Two runs whose ends were kept, and a third that is at work. Each adds a file."""
    runs: list[RunRow] = []
    for name in "abc":
        if runs:
            session.end_run(runs[-1])
            saver.keep_end(runs[-1].id)
        runs.append(session.begin_run())
        saver.files = {**saver.files, **contents(name)}
    return runs


def snapshot_number(session: Session, actor: Actor, run: RunRow) -> int:
    return snapshot_to_read(session.conn, actor, session.id, run_id=run.id).number


def test_kept_ends_become_the_snapshots_of_their_runs_in_order(
    context: TaskContext, session: Session, saver: Saver, actor: Actor, object_store: RunningStore, database: str
) -> None:
    runs = queued_runs(session, saver)
    for _ in range(3):
        assert save_all(context, session) == ["saved"]
    session.end_run(runs[2])
    assert save_all(context, session) == ["saved"]
    assert [(each.number, each.run_id, each.files, each.at_rest) for each in session.snapshots] == [
        (1, runs[0].id, 1, True),
        (2, runs[1].id, 2, True),
        (3, runs[2].id, 3, True),  # made while the run was at work, then found unchanged at its end
    ]
    assert [snapshot_number(session, actor, run) for run in runs] == [1, 2, 3]
    told = [(event.data["runId"], event.data["runNumber"]) for event in session.events("workspace.synced")]
    assert told == [(str(run.id), number) for number, run in enumerate(runs, 1)]
    assert unsaved(session.conn, session.id) is None
    check(database, stored=object_store.keys())


def test_an_end_does_not_make_the_present_state_saved(
    context: TaskContext, session: Session, saver: Saver, actor: Actor
) -> None:
    runs = queued_runs(session, saver)
    session.end_run(runs[2])
    assert save_all(context, session) == ["saved"]
    assert session.state.dirty_since is not None
    reason = unsaved(session.conn, session.id)
    assert reason is not None
    assert reason.code == "unsaved"
    assert session.state.next_sync_at is not None
    with_one_end = session.snapshots
    assert [each.run_id for each in with_one_end] == [runs[0].id]
    assert with_one_end[0].id == session.state.head_snapshot
    assert snapshot_number(session, actor, runs[0]) == 1


def test_a_save_before_a_stop_takes_all_ends_and_the_present_state(
    context: TaskContext, session: Session, saver: Saver
) -> None:
    runs = queued_runs(session, saver)
    session.end_run(runs[2])
    newest = save_now(context, session.id, "stop")
    assert [(each.run_id, each.files) for each in session.snapshots] == [
        (run.id, number) for number, run in enumerate(runs, 1)
    ]
    assert newest == session.snapshots[-1].id
    assert unsaved(session.conn, session.id) is None


def test_a_run_that_changes_nothing_after_a_kept_end_has_that_state(
    context: TaskContext, session: Session, saver: Saver, actor: Actor
) -> None:
    first = session.run()
    saver.files = contents("a")
    saver.keep_end(first.id)
    second = session.run()
    save_now(context, session.id, "stop")
    assert [each.run_id for each in session.snapshots] == [first.id]
    assert [snapshot_number(session, actor, run) for run in (first, second)] == [1, 1]


def test_an_upload_after_a_run_s_end_is_kept_until_a_later_save_holds_it(
    context: TaskContext, session: Session, saver: Saver, actor: Actor
) -> None:
    first = session.run()
    saver.files = contents("a")
    saver.keep_end(first.id)
    upload = keep_upload(session.conn, actor, session.id, name="u", mime_type="text/plain", content=b"x")
    session.conn.execute("UPDATE uploads SET path = 'u'")  # the saver has no folders
    upload_placed(session.conn, session.id, upload.id, epoch=1)
    saver.files = {**saver.files, "u": b"x"}
    assert save_all(context, session) == ["saved"]
    assert upload_content(session.conn, upload.id) == b"x"
    assert save_all(context, session) == ["saved"]
    assert upload_content(session.conn, upload.id) is None


def test_an_end_of_a_run_of_another_session_is_refused(context: TaskContext, session: Session, saver: Saver) -> None:
    session.run()
    saver.files = contents("a")
    saver.keep_end(UUID(int=0))
    with pytest.raises(NotSaved, match="not the session's"):
        save_now(context, session.id, "stop")
    assert session.snapshots == []
    assert session.state.sync_failures == 1

"""Changes that nobody saves in time are found, and what is being done about them is told."""

from __future__ import annotations

from collections.abc import Callable

from handlers.alarms import Limits as AlarmLimits
from handlers.alarms import alarms
from jobs.context import TaskContext
from jobs.perform_request import perform_request
from jobs.workspaces.reconcile_syncs import reconcile_syncs
from jobs.workspaces.sync import save_due
from tests.integration.jobs.workspaces.conftest import Session
from tests.integration.jobs.workspaces.test_failures import dirty, fail_once
from tests.integration.jobs.workspaces.test_saving import save_all, seconds_until_due
from tests.store_faults import HurtStore

__all__ = ["dirty"]


def test_changes_that_nobody_saves_are_found_by_the_reconciler(
    make_saving_context: Callable[..., TaskContext], dirty: Session
) -> None:
    context = make_saving_context(sync_dirty_seconds=60)
    dirty.conn.execute("UPDATE session_workers SET next_sync_at = NULL")
    assert reconcile_syncs(context).scanned == 0
    dirty.conn.execute("UPDATE session_workers SET dirty_since = now() - interval '61 s'")
    done = reconcile_syncs(context)
    assert (done.scanned, done.asked, done.reasons[0].session_id) == (1, 1, dirty.id)
    assert save_all(context, dirty) == ["saved"]
    assert reconcile_syncs(context).scanned == 0


def test_the_reconciler_says_what_is_being_done_and_hurries_no_pause(
    make_saving_context: Callable[..., TaskContext], dirty: Session, hurt_store: HurtStore
) -> None:
    context = make_saving_context(sync_dirty_seconds=60)
    dirty.conn.execute("UPDATE session_workers SET dirty_since = now() - interval '61 s'")
    fail_once(context, dirty, hurt_store)
    [waiting] = reconcile_syncs(context).reasons
    assert waiting.action == "waiting"
    assert str(dirty.state.sync_error) in waiting.reason
    assert (seconds_until_due(dirty) or 0) > 0
    dirty.make_due()
    save_due(context)
    assert [each.action for each in reconcile_syncs(context).reasons] == ["syncing"]


def test_the_reconciler_can_be_asked_for(context: TaskContext, dirty: Session) -> None:
    job_request_id = dirty.conn.execute(
        "INSERT INTO operations (kind) VALUES ('reconcile_syncs') RETURNING id"
    ).fetchall()[0][0]
    perform_request(context, job_request_id)
    [[result]] = dirty.conn.execute("SELECT result FROM operations").fetchall()
    assert result == {"scanned": 0, "asked": 0, "syncing": 0, "waiting": 0, "reasons": []}


def test_a_session_that_cannot_be_saved_for_long_raises_an_alarm(
    context: TaskContext, dirty: Session, hurt_store: HurtStore
) -> None:
    for _ in range(3):
        assert alarms(dirty.conn, AlarmLimits()) == []
        fail_once(context, dirty, hurt_store)
    [alarm] = alarms(dirty.conn, AlarmLimits())
    assert alarm.code == "sync_failing"
    assert str(dirty.id) in alarm.message
    assert str(dirty.state.sync_error) in alarm.message

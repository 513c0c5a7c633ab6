"""A save whose epoch, turn or head is not the session's any more lands nothing."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from handlers.workspaces.sync import BegunSync, begin_sync, commit_sync, take_sync_lease
from jobs.context import TaskContext
from schema.workspace_api import SyncReceipt
from tests.integration.jobs.workspaces.conftest import Session
from tests.integration.jobs.workspaces.saver import Saver, contents
from tests.integration.jobs.workspaces.test_saving import save_all, why


@pytest.mark.parametrize("moved", ["the worker", "the session"])
def test_an_older_epoch_commits_nothing(context: TaskContext, session: Session, saver: Saver, moved: str) -> None:
    """A zombie's save ends after the session has moved to another place."""
    saver.files = contents("abc")
    session.run()

    def move(_key: str) -> None:
        session.conn.execute("UPDATE session_logs SET epoch = 2")
        if moved == "the worker":
            session.conn.execute("UPDATE session_workers SET epoch = 2")

    saver.before_put = move
    assert save_all(context, session) == ["superseded"]
    assert session.snapshots == []
    assert session.state.head_snapshot is None
    assert session.events("workspace.synced") == []


def test_a_turn_that_was_given_to_another_lands_nothing(
    make_saving_context: Callable[..., TaskContext], session: Session, saver: Saver
) -> None:
    slow, other = make_saving_context(), make_saving_context()
    saver.files = contents("abc")
    session.run()
    landed: list[str] = []

    def overtaken(_key: str) -> None:
        saver.before_put = str
        session.expire_turn()
        landed.extend(save_all(other, session))

    saver.before_put = overtaken
    assert save_all(slow, session) == ["superseded"]
    assert landed == ["saved"]
    assert [snapshot.number for snapshot in session.snapshots] == [1]
    assert why(session) is None


def test_a_stale_turn_commits_nothing_even_if_it_goes_all_the_way(
    context: TaskContext, session: Session, saver: Saver
) -> None:
    saver.files = contents("abc")
    session.run()
    old = take_sync_lease(session.conn, session.id, owner="old", lock_seconds=60)
    assert old is not None
    begun = begin_sync(session.conn, old, owner="old", lock_seconds=60)
    session.expire_turn()
    assert save_all(context, session) == ["saved"]
    receipt = saver.operations.popitem()[1].receipt
    assert isinstance(begun, BegunSync)
    assert commit_sync(session.conn, begun, SyncReceipt.model_validate({**receipt, "snapshotId": str(uuid4())})) is None
    assert len(session.snapshots) == 1


@pytest.mark.parametrize("meanwhile", ["another has the turn", "the head is another"])
def test_a_save_that_was_overtaken_lands_nothing_before_the_other_has(
    context: TaskContext, session: Session, saver: Saver, meanwhile: str
) -> None:
    saver.files = contents("abc")
    session.run()
    save_all(context, session)
    receipt = {**saver.operations.popitem()[1].receipt, "snapshotId": str(uuid4())}
    session.run()
    lease = take_sync_lease(session.conn, session.id, owner="old", lock_seconds=60)
    assert lease is not None
    begun = begin_sync(session.conn, lease, owner="old", lock_seconds=60)
    assert isinstance(begun, BegunSync)
    if meanwhile == "another has the turn":
        session.expire_turn()
        assert take_sync_lease(session.conn, session.id, owner="new", lock_seconds=60)
    else:
        session.conn.execute("UPDATE session_workers SET head_snapshot = NULL")
    assert commit_sync(session.conn, begun, SyncReceipt.model_validate(receipt)) is None
    assert len(session.snapshots) == 1

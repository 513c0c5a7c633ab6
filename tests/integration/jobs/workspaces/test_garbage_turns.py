"""Garbage is collected in a turn of its session's, as saves are: whoever has lost it decides and deletes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from handlers.workspaces.garbage import Listed, forget_deleted, mark_for_deletion, retire_snapshots
from handlers.workspaces.sync import end_sync_lease, renew_sync_lease, take_due_sync_leases, take_sync_lease
from jobs.context import TaskContext
from jobs.object_store.s3 import Bucket
from jobs.workspaces.collect_garbage import collect_garbage
from jobs.workspaces.sync import save_due
from schema.object_keys import session_prefix
from tests.integration.jobs.workspaces.conftest import Session, due_jobs
from tests.integration.jobs.workspaces.saver import Saver, contents
from tests.integration.jobs.workspaces.test_garbage import GRACE, orphan, save_twice
from tests.integration.jobs.workspaces.test_saving import save_all
from tests.object_stores import RunningStore
from tests.store_faults import Fault, HurtStore


@pytest.fixture
def context(make_saving_context: Callable[..., TaskContext]) -> TaskContext:
    """Without a grace period: what is garbage at the second look is deleted then."""
    return make_saving_context(garbage_grace_hours=0)


def test_a_session_that_is_being_saved_is_left_for_the_next_time(
    context: TaskContext, session: Session, bucket: Bucket, object_store: RunningStore
) -> None:
    lease = take_sync_lease(session.conn, session.id, owner="another", lock_seconds=60)
    assert lease is not None
    key = orphan(bucket, session)
    for _ in range(2):
        assert collect_garbage(context).busy == 1
    assert object_store.open().sizes([key])
    end_sync_lease(session.conn, lease)
    collect_garbage(context)
    assert not object_store.open().sizes([key])


def test_a_save_whose_job_worker_died_is_due_although_garbage_was_collected_in_its_turn(
    context: TaskContext, session: Session
) -> None:
    session.run()
    session.make_due()
    assert take_due_sync_leases(session.conn, owner="dead", lock_seconds=60, at_once=4)
    session.expire_turn()
    assert collect_garbage(context).sessions == 1
    save_due(context)
    assert len(due_jobs(session.conn)) == 1


def test_a_collector_whose_turn_ran_out_deletes_nothing_more(
    context: TaskContext, session: Session, saver: Saver, hurt_store: HurtStore, object_store: RunningStore
) -> None:
    saver.files = contents("a")
    session.run()
    save_all(context, session)
    key = orphan(object_store.open(), session)
    fault = hurt_store.hurt(Fault(method="GET", hold=threading.Event()))
    with ThreadPoolExecutor(1) as pool:
        collecting = pool.submit(collect_garbage, context)
        assert fault.met.wait(30)
        session.expire_turn()
        assert take_sync_lease(session.conn, session.id, owner="another", lock_seconds=60)
        assert fault.hold is not None
        fault.hold.set()
        assert collecting.result(30).deleted == 0
    assert object_store.open().sizes([key])


def test_a_collector_whose_turn_runs_out_while_it_deletes_goes_no_further(
    context: TaskContext,
    session: Session,
    saver: Saver,
    hurt_store: HurtStore,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jobs.workspaces.collect_garbage.DELETED_AT_ONCE", 1)
    saver.files = contents("a")
    session.run()
    save_all(context, session)
    keys = [orphan(bucket, session) for _ in range(3)]
    fault = hurt_store.hurt(Fault(method="POST", hold=threading.Event()))
    with ThreadPoolExecutor(1) as pool:
        collecting = pool.submit(collect_garbage, context)
        assert fault.met.wait(30)
        session.expire_turn()
        assert take_sync_lease(session.conn, session.id, owner="another", lock_seconds=60)
        assert fault.hold is not None
        fault.hold.set()
        assert collecting.result(30).deleted == 1
    assert len(bucket.sizes(keys)) == 2


def test_a_collector_that_has_lost_its_turn_decides_nothing_and_ends_the_turn_that_it_may_have_misled(
    context: TaskContext, session: Session, saver: Saver, bucket: Bucket
) -> None:
    save_twice(context, session, saver)
    key = orphan(bucket, session)
    listed = [Listed(each.key, each.last_modified) for each in bucket.list(session_prefix(session.id))]
    lost = take_sync_lease(session.conn, session.id, owner="slow", lock_seconds=60)
    session.expire_turn()
    present = take_sync_lease(session.conn, session.id, owner="another", lock_seconds=60)
    assert lost is not None
    assert present is not None
    with session.conn.transaction():
        assert retire_snapshots(session.conn, lost, rules=GRACE, lock_seconds=60) == 0
        assert mark_for_deletion(session.conn, lost, listed, owner="slow", rules=GRACE, lock_seconds=60) == []
        assert retire_snapshots(session.conn, present, rules=GRACE, lock_seconds=60) == 1
        assert key in mark_for_deletion(session.conn, present, listed, owner="another", rules=GRACE, lock_seconds=60)
        forget_deleted(session.conn, present, [key], owner="another", lock_seconds=60)
        assert renew_sync_lease(session.conn, present, lock_seconds=60)
        forget_deleted(session.conn, lost, [key], owner="slow", lock_seconds=60)
        assert not renew_sync_lease(session.conn, present, lock_seconds=60)

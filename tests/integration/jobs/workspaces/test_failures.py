"""Saves that fail: nothing is lost, all of it is told, and once one succeeds it is as if none had failed."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import pytest

from handlers.runs.reconcile import ReconcileLimits
from handlers.workspaces.sync import is_saved, take_sync_lease, unsaved
from jobs.context import TaskContext
from jobs.periodic import Presence
from jobs.workspaces.sync import NotSaved, expire_orphaned_leases, save_due, save_now, sync_workspace
from tests.checker import check
from tests.integration.jobs.stand_in import Reply, StandIn
from tests.integration.jobs.waiting import wait_until
from tests.integration.jobs.workspaces.conftest import Session, due_jobs
from tests.integration.jobs.workspaces.saver import Saver, contents
from tests.integration.jobs.workspaces.test_saving import save_all, seconds_until_due, why
from tests.object_stores import RunningStore
from tests.store_faults import HurtStore


@pytest.fixture
def dirty(session: Session, saver: Saver) -> Session:
    """A session whose last run changed three files."""
    saver.files = contents("abc")
    session.run()
    return session


def assert_as_if_it_had_not_failed(session: Session, object_store: RunningStore, dsn: str) -> None:
    state = session.state
    assert (state.sync_failures, state.sync_error, state.dirty_since) == (0, None, None)
    assert is_saved(session.conn, session.id)
    numbers = [snapshot.number for snapshot in session.snapshots]
    assert numbers == list(range(1, len(numbers) + 1))
    check(dsn, stored=object_store.keys())


@pytest.mark.parametrize(
    ("method", "status"), [("PUT", 503), ("PUT", 507), ("GET", 403), ("GET", 503), ("HEAD", 403), ("HEAD", 503)]
)
def test_a_store_that_fails_fails_the_save_and_the_next_one_succeeds(
    context: TaskContext,
    dirty: Session,
    hurt_store: HurtStore,
    object_store: RunningStore,
    database: str,
    method: str,
    status: int,
) -> None:
    """507 is a store without space."""
    hurt_store.fail(method=method, status=status, times=None)
    assert save_all(context, dirty) == ["failed"]
    state = dirty.state
    assert (state.sync_failures, state.head_snapshot) == (1, None)
    assert state.dirty_since is not None
    assert 0 < (seconds_until_due(dirty) or 0) <= 5
    [event] = dirty.events("workspace.sync_failed")
    assert (event.data["reason"], event.data["failures"]) == (state.sync_error, 1)
    assert "object store" in event.data["reason"]
    assert why(dirty) == "unsaved"
    hurt_store.heal()
    dirty.make_due()
    assert save_all(context, dirty) == ["saved"]
    assert_as_if_it_had_not_failed(dirty, object_store, database)


def test_any_request_of_a_save_may_fail(
    context: TaskContext,
    dirty: Session,
    saver: Saver,
    hurt_store: HurtStore,
    object_store: RunningStore,
    database: str,
) -> None:
    hurt_store.requests.clear()
    assert save_all(context, dirty) == ["saved"]
    count = len(hurt_store.requests)
    assert count > 5
    saver.files = contents("defg")
    dirty.run()
    for n in range(count):
        hurt_store.fail(status=403, skip=n)  # which nobody repeats by himself
        dirty.make_due()
        assert save_all(context, dirty) == ["failed"], n
        assert len(dirty.snapshots) == 1
        hurt_store.heal()
    dirty.make_due()
    assert save_all(context, dirty) == ["saved"]
    assert_as_if_it_had_not_failed(dirty, object_store, database)


def test_a_store_that_is_down_fails_saves_until_it_is_back(
    context: TaskContext, dirty: Session, hurt_store: HurtStore, object_store: RunningStore, database: str
) -> None:
    hurt_store.is_down = True
    assert save_all(context, dirty) == ["failed"]
    with pytest.raises(NotSaved):
        save_now(context, dirty.id, "stop")
    assert dirty.state.sync_failures == 2
    hurt_store.heal()
    dirty.make_due()
    assert save_all(context, dirty) == ["saved"]
    assert_as_if_it_had_not_failed(dirty, object_store, database)


def fail_once(context: TaskContext, session: Session, hurt_store: HurtStore) -> None:
    hurt_store.fail(status=403)
    session.make_due()
    assert save_all(context, session) == ["failed"]


def test_pauses_grow_and_a_message_does_not_shorten_them_but_the_end_of_a_run_does(
    context: TaskContext, dirty: Session, hurt_store: HurtStore
) -> None:
    pauses = []
    for _ in range(4):
        fail_once(context, dirty, hurt_store)
        pauses.append(round(seconds_until_due(dirty) or 0))
    assert pauses == [5, 10, 20, 40]
    run = dirty.begin_run()
    dirty.stop_message(run)
    assert (seconds_until_due(dirty) or 0) > 30
    dirty.end_run(run)
    assert (seconds_until_due(dirty) or 0) <= 0


@pytest.mark.parametrize(
    "replies",
    [[Reply(503)] * 2, [Reply(0)] * 2, [Reply(409, {"code": "workspace_not_ready"})]],
    ids=["unwell", "gone", "refused"],
)
def test_an_executor_that_does_not_take_the_save_up_is_asked_again_later(
    context: TaskContext,
    dirty: Session,
    executor: StandIn,
    object_store: RunningStore,
    database: str,
    replies: list[Reply],
) -> None:
    executor.fail(*replies)
    assert save_all(context, dirty) == ["failed"]
    assert dirty.state.sync_failures == 1
    dirty.make_due()
    assert save_all(context, dirty) == ["saved"]
    assert_as_if_it_had_not_failed(dirty, object_store, database)


@pytest.mark.parametrize("code", ["busy", "run_live"])
def test_an_executor_that_is_about_something_else_is_asked_again_in_a_moment_and_that_is_no_failure(
    context: TaskContext, dirty: Session, executor: StandIn, code: str
) -> None:
    busy = Reply(409, {"code": code, "detail": "Not now."})
    executor.fail(busy)
    assert save_all(context, dirty) == ["deferred"]
    assert dirty.state.sync_failures == 0
    assert dirty.events("workspace.sync_failed") == []
    assert 0 < (seconds_until_due(dirty) or 0) <= 1
    executor.fail(busy)
    assert save_now(context, dirty.id, "stop") == dirty.snapshots[0].id
    dirty.run()
    dirty.conn.execute(
        "UPDATE session_workers SET dirty_since = now() - interval '301 s', synced_at = now() - interval '301 s'"
    )
    executor.fail(busy)
    assert save_all(context, dirty) == ["failed"], "it has been so for too long"


def test_an_executor_that_was_restarted_in_the_middle_is_asked_again_at_once(
    context: TaskContext, dirty: Session, saver: Saver, object_store: RunningStore, database: str
) -> None:
    def restart(_key: str) -> None:
        saver.before_put = str
        threading.Thread(target=saver.restart).start()
        wait_until(lambda: not saver.operations, lambda: saver.operations)

    saver.before_put = restart
    assert save_all(context, dirty) == ["saved"]
    assert len({asked.snapshot_id for asked in saver.asked}) == len(saver.asked) == 2
    assert_as_if_it_had_not_failed(dirty, object_store, database)


def test_an_executor_that_forgets_every_time_is_given_up_for_now(
    context: TaskContext, dirty: Session, executor: StandIn
) -> None:
    begun = [Reply(202, {"operationId": str(uuid4())}), Reply(404, {"code": "unknown_operation"})]
    executor.fail(*(begun * 4))
    assert save_all(context, dirty) == ["failed"]
    assert "lost the operation repeatedly" in (dirty.state.sync_error or "")


@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_an_operation_may_not_have_links_to_what_is_anothers(
    context: TaskContext, dirty: Session, executor: StandIn, method: str
) -> None:
    for key in (f"sessions/{uuid4()}/packs/{'0' * 64}", f"sessions/{dirty.id}/snapshots/{uuid4()}", "../x"):
        running = {"operationId": str(uuid4()), "kind": "sync", "state": "running", "progress": {"step": "uploading"}}
        wants = {**running, "wants": [{"method": method, "key": key}]}
        executor.fail(Reply(202, {"operationId": str(uuid4())}), Reply(200, wants))
        dirty.make_due()
        assert save_all(context, dirty) == ["failed"]
        assert "outside its rights" in (dirty.state.sync_error or "")
    assert not [call for call in executor.seen if call.path.endswith("/links")]


def test_a_save_whose_job_worker_died_is_taken_up_when_its_turn_runs_out(
    context: TaskContext, dirty: Session, object_store: RunningStore, database: str
) -> None:
    save_due(context)
    due_jobs(dirty.conn)  # taken by a job worker that was killed with it
    assert save_all(context, dirty) == []
    assert why(dirty) == "syncing"
    dirty.expire_turn()
    assert save_all(context, dirty) == ["saved"]
    assert_as_if_it_had_not_failed(dirty, object_store, database)


def test_the_turn_of_a_job_worker_whose_mark_is_gone_is_given_back_at_once(
    make_saving_context: Callable[..., TaskContext], dirty: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_saving_context()
    monkeypatch.setattr("jobs.periodic.SETTLED_SECONDS", 0)
    presence = Presence(
        context.settings.dsn,
        claimer=context.claimer,
        limits=ReconcileLimits(lease_seconds=60),
        reclaim=lambda _runs: None,
        expire_leases=lambda turns: expire_orphaned_leases(context, turns),
    )
    assert take_sync_lease(dirty.conn, dirty.id, owner="a dead one", lock_seconds=600)
    presence.run_once()
    assert dirty.state.is_syncing
    presence.run_once()
    assert why(dirty) == "unsaved"
    assert take_sync_lease(dirty.conn, dirty.id, owner=context.claimer, lock_seconds=600)
    presence.run_once()
    presence.run_once()
    assert dirty.state.is_syncing, "its own mark is there"
    presence.end()


def test_a_job_worker_that_ends_gives_its_turn_back(
    make_saving_context: Callable[..., TaskContext], dirty: Session, saver: Saver
) -> None:
    context = make_saving_context()
    context = replace(context, closing=threading.Event())
    saver.before_put = lambda _key: context.closing.set()
    save_due(context)
    assert [sync_workspace(context, *job) for job in due_jobs(dirty.conn)] == ["interrupted"]
    assert dirty.state.sync_failures == 0
    saver.before_put = str
    dirty.make_due()
    assert save_all(make_saving_context(), dirty) == ["saved"]


def test_without_an_object_store_nothing_is_saved_and_the_gate_stays_shut(context: TaskContext, dirty: Session) -> None:
    without = dataclasses.replace(context, store=None)
    assert save_all(without, dirty) == []
    with pytest.raises(NotSaved, match="No object store"):
        save_now(without, dirty.id, "stop")
    assert unsaved(dirty.conn, dirty.id) is not None

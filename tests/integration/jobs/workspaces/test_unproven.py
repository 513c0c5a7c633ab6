"""What an executor could not read, or says that it has saved and the store does not prove, counts as unsaved."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from jobs.context import TaskContext
from jobs.workspaces.sync import save_now
from schema.wire import Json
from tests.integration.jobs.workspaces.conftest import Session
from tests.integration.jobs.workspaces.saver import Saver, contents
from tests.integration.jobs.workspaces.test_failures import assert_as_if_it_had_not_failed, dirty
from tests.integration.jobs.workspaces.test_saving import save_all, why
from tests.object_stores import RunningStore

__all__ = ["dirty"]


def lies() -> dict[str, Callable[[Json], Json]]:
    def without_one(receipt: Json) -> Json:
        first, *others = receipt["objects"]
        sizes = {key: size for key, size in receipt["objectSizes"].items() if key != first}
        return {**receipt, "objects": others, "objectSizes": sizes}

    def of_another(receipt: Json) -> Json:
        key = f"sessions/{uuid4()}/packs/{'0' * 64}"
        return {
            **receipt,
            "objects": [key, *receipt["objects"]],
            "objectSizes": {**receipt["objectSizes"], key: 1},
        }

    return {
        "an object is not told": without_one,
        "an object of another session": of_another,
        "sizes": lambda receipt: {**receipt, "objectSizes": dict.fromkeys(receipt["objectSizes"], 1)},
        "digest": lambda receipt: {**receipt, "manifestDigest": "0" * 64},
        "id": lambda receipt: {**receipt, "snapshotId": str(uuid4())},
        "unchanged": lambda receipt: {**receipt, "unchanged": True},
        "nothing": lambda receipt: {**receipt, "objects": [], "objectSizes": {}},
    }


@pytest.mark.parametrize("lie", lies())
def test_what_the_store_does_not_prove_is_not_committed(
    context: TaskContext, dirty: Session, saver: Saver, object_store: RunningStore, database: str, lie: str
) -> None:
    saver.tamper = lies()[lie]
    assert save_all(context, dirty) == ["failed"]
    assert dirty.snapshots == []
    saver.tamper = lambda receipt: receipt
    dirty.make_due()
    assert save_all(context, dirty) == ["saved"]
    assert_as_if_it_had_not_failed(dirty, object_store, database)


def test_an_earlier_snapshot_told_once_more_is_not_committed(
    context: TaskContext, dirty: Session, saver: Saver
) -> None:
    assert save_all(context, dirty) == ["saved"]
    [operation] = saver.operations.values()
    saver.files = contents("abcd")
    dirty.run()
    saver.tamper = lambda _: operation.receipt
    assert save_all(context, dirty) == ["failed"]
    assert len(dirty.snapshots) == 1


def test_that_nothing_changed_is_believed_of_the_last_snapshot_only(
    context: TaskContext, dirty: Session, saver: Saver, object_store: RunningStore, database: str
) -> None:
    assert save_all(context, dirty) == ["saved"]
    dirty.run()
    saver.tamper = lambda receipt: {**receipt, "unchanged": True, "manifestDigest": "0" * 64}
    assert save_all(context, dirty) == ["failed"]
    assert why(dirty) == "unsaved"
    saver.tamper = lambda receipt: receipt
    dirty.make_due()
    assert save_all(context, dirty) == ["saved"]
    assert_as_if_it_had_not_failed(dirty, object_store, database)


def test_a_snapshot_that_has_gone_from_the_store_is_made_again_although_nothing_changed(
    context: TaskContext, dirty: Session, object_store: RunningStore
) -> None:
    assert save_all(context, dirty) == ["saved"]
    [snapshot] = dirty.snapshots
    object_store.open().delete(snapshot.objects[:1])
    dirty.run()
    assert save_all(context, dirty) == ["saved"]
    head, *_ = sorted(dirty.snapshots, key=lambda each: -each.number)
    assert head.id == dirty.state.head_snapshot != snapshot.id
    assert set(head.objects) <= set(object_store.keys())


def test_an_object_that_is_cut_short_in_the_store_is_noticed_and_uploaded_again(
    context: TaskContext, dirty: Session, saver: Saver, object_store: RunningStore, database: str
) -> None:
    def cut(key: str) -> None:
        if "/snapshots/" in key:
            saver.before_put = str
            object_store.open().write(next(iter(saver.operations.values())).receipt["objects"][0], b"x")

    saver.before_put = cut
    assert save_all(context, dirty) == ["saved"]
    assert len(saver.asked) == 2, "once more, counting on nothing"
    assert_as_if_it_had_not_failed(dirty, object_store, database)


def unreadable(receipt: Json) -> Json:
    return {**receipt, "unreadable": 1, "skipped": [{"root": "workspace", "path": "bad", "reason": "unreadable"}]}


def test_what_cannot_be_read_is_unsaved_although_all_else_is_saved(
    context: TaskContext, dirty: Session, saver: Saver, object_store: RunningStore, database: str
) -> None:
    saver.tamper = unreadable
    for failures in (1, 2):
        assert save_all(context, dirty) == ["saved"]
        assert dirty.state.head_snapshot == dirty.snapshots[0].id
        assert why(dirty) == "unsaved"
        assert dirty.state.sync_failures == failures
        assert "cannot be read: 'bad'" in (dirty.state.sync_error or "")
        dirty.make_due()
    saver.tamper = lambda receipt: receipt
    assert save_all(context, dirty) == ["saved"]
    assert_as_if_it_had_not_failed(dirty, object_store, database)


def test_what_turns_out_to_be_unreadable_later_is_unsaved_from_then_on(
    context: TaskContext, dirty: Session, saver: Saver
) -> None:
    assert save_all(context, dirty) == ["saved"]
    assert why(dirty) is None
    saver.tamper = unreadable
    assert save_now(context, dirty.id, "requested") is not None
    assert why(dirty) == "unsaved"


def test_beside_an_agent_no_snapshot_without_its_home_takes_the_place_of_one_that_has_gone(
    context: TaskContext, dirty: Session, object_store: RunningStore
) -> None:
    assert save_all(context, dirty) == ["saved"]
    [snapshot] = dirty.snapshots
    object_store.open().delete(snapshot.objects[:1])
    run = dirty.begin_run()
    dirty.stop_message(run)
    dirty.make_due()
    assert save_all(context, dirty) == ["failed"]
    dirty.end_run(run)
    dirty.make_due()
    assert save_all(context, dirty) == ["saved"]
    assert len(dirty.snapshots) == 2

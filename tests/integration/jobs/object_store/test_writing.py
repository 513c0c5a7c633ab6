"""The probe of writes leaves one object however often it runs, and its start is no alarm."""

from __future__ import annotations

from collections.abc import Callable

from structlog.testing import capture_logs

from jobs.context import TaskContext
from jobs.object_store.writing import StoreWriting
from jobs.workers.parts import PartReports
from tests.object_stores import RunningStore
from tests.store_faults import HurtStore


def test_writes_are_probed_by_one_object_that_every_job_worker_overwrites(object_store: RunningStore) -> None:
    store = object_store.open()
    for writing in (StoreWriting(store), StoreWriting(store)):
        for _ in range(2):
            writing.run_once()
        assert writing.fault is None
    assert [stored.key for stored in store.list("")] == ["runyard-probes/writing"]


def test_a_store_that_has_not_answered_yet_is_no_alarm_and_one_that_refuses_is(
    make_context: Callable[..., TaskContext], object_store: RunningStore, hurt_store: HurtStore
) -> None:
    writing = StoreWriting(object_store.at(hurt_store.url).open())
    reports = PartReports(make_context(), writing)
    with capture_logs() as log:
        reports.run_once()
    assert log == []
    hurt_store.is_down = True
    writing.run_once()
    with capture_logs() as log:
        reports.run_once()
    assert [entry["event"] for entry in log] == ["alarm.store"]

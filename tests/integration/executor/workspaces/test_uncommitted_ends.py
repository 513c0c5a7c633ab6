"""What a run left stays to be kept until its snapshot is known to be committed, not only uploaded."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.integration.executor.conftest import Worker
from tests.integration.executor.saving import saved
from tests.integration.executor.snapshotter.objects import Objects
from tests.integration.executor.workspaces.test_run_ends import finished_run, live_run, next_save, placed, sizes


@pytest.fixture
def objects() -> Iterator[Objects]:
    objects = Objects()
    yield objects
    objects.close()


def test_a_save_that_nobody_committed_does_not_count(worker: Worker, objects: Objects) -> None:
    first = finished_run(worker, text="1")
    lost = saved(worker, objects, takes_ends=True)  # its job worker dies before the commit
    live_run(worker, text="22")
    end = next_save(worker, objects, None)
    assert (end["runId"], sizes(worker, objects, end)) == (str(first), {"text": 1})
    assert end["snapshotId"] != lost["snapshotId"]
    present = next_save(worker, objects, end)
    assert ("runId" in present, sizes(worker, objects, present)) == (False, {"text": 2})


def test_a_later_save_that_nobody_committed_does_not_count(worker: Worker, objects: Objects) -> None:
    first = finished_run(worker, text="1", kept="the same")
    head = saved(worker, objects, takes_ends=True)
    second = finished_run(worker, saved_end=first, text="22")
    saved(worker, objects, takes_ends=True, head=head["snapshotId"], headDigest=head["manifestDigest"])
    assert placed(worker, "a.txt", saved_end=first).status_code == 200
    end = next_save(worker, objects, head)
    assert (end["runId"], sizes(worker, objects, end)) == (str(second), {"text": 2, "kept": 8})


def test_an_end_that_was_kept_before_its_commit_was_known_is_sent_by_no_save(worker: Worker, objects: Objects) -> None:
    first = finished_run(worker, text="1")
    head = saved(worker, objects, takes_ends=True)
    live_run(worker, text="22")
    present = next_save(worker, objects, head, query={"savedEnd": str(first)})
    assert ("runId" in present, sizes(worker, objects, present)) == (False, {"text": 2})
    assert os.listdir(worker.folder / "state" / "run-ends") == []


def test_a_saved_end_is_not_kept_for_an_upload(worker: Worker, objects: Objects) -> None:
    first = finished_run(worker, text="1")
    head = saved(worker, objects, takes_ends=True)
    assert placed(worker, "a.txt", saved_end=first).status_code == 200
    assert "runId" not in next_save(worker, objects, head)

"""What a run left is kept apart when another run, or an upload, follows before a save has read it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from schema.live_files import SAVED_END_HEADER
from schema.object_keys import manifest_key
from schema.snapshot_manifest import File, Manifest, read_snapshot_manifest
from tests.integration.executor.conftest import Worker, wait_until
from tests.integration.executor.saving import Answer, ask_to_sync, restored, saved, see_through, state_of
from tests.integration.executor.snapshotter.objects import Objects


@pytest.fixture
def objects() -> Iterator[Objects]:
    objects = Objects()
    yield objects
    objects.close()


def finished_run(worker: Worker, *, saved_end: UUID | None = None, **files: str) -> UUID:
    """A run that leaves these files in the workspace. `saved_end` is the run whose end the newest snapshot holds."""
    run_id = worker.run([["wait", "go"]], **_told(saved_end))
    for name, content in files.items():
        (worker.workspace / name).write_text(content)
    worker.let_go_on("go")
    worker.wait_for_state(run_id, lambda state: state["state"] == "finished")
    (worker.workspace / "go").unlink()
    return run_id


def live_run(worker: Worker, *, saved_end: UUID | None = None, **files: str) -> UUID:
    """A run that has written these files, and goes on."""
    run_id = worker.run([["until_stopped"]], **_told(saved_end))
    for name, content in files.items():
        (worker.workspace / name).write_text(content)
    return run_id


def _told(saved_end: UUID | None) -> dict[str, object]:
    return {} if saved_end is None else {"savedEnd": str(saved_end)}


def placed(worker: Worker, name: str, *, saved_end: UUID | None = None) -> httpx.Response:
    return worker.client.put(
        "/files/uploads",
        params={"path": f"uploads/00000000/{name}"},
        content=b"a user's",
        headers={} if saved_end is None else {SAVED_END_HEADER: str(saved_end)},
    )


@pytest.fixture
def first_placed(worker: Worker) -> Iterator[Callable[[], Future[httpx.Response]]]:
    """Place a file, and return as soon as the executor reads the end of the run before for it."""
    new = worker.folder / "state" / "run-ends" / "new"
    with ThreadPoolExecutor(1) as pool:

        def place() -> Future[httpx.Response]:
            answer = pool.submit(placed, worker, "first.txt")
            wait_until(lambda: new.exists() or answer.done(), worker.log.read_text)
            return answer

        yield place


def next_save(worker: Worker, objects: Objects, head: Answer | None, *, query: dict[str, str] | None = None) -> Answer:
    known = {} if head is None else {"head": head["snapshotId"], "headDigest": head["manifestDigest"]}
    return saved(worker, objects, takes_ends=True, query=query, atRest=False, **known)


def manifest_of(worker: Worker, objects: Objects, receipt: Answer) -> Manifest:
    snapshot_id = UUID(receipt["snapshotId"])
    data = objects.stored[manifest_key(worker.session_id, snapshot_id)]
    return read_snapshot_manifest(data, session_id=worker.session_id, snapshot_id=snapshot_id)


def sizes(worker: Worker, objects: Objects, receipt: Answer) -> dict[str, int]:
    files = manifest_of(worker, objects, receipt).roots.workspace
    return {entry.path: entry.size for entry in files if isinstance(entry, File)}


def test_each_of_three_runs_in_a_row_has_its_own_end(
    worker: Worker, objects: Objects, make_worker: Callable[..., Worker]
) -> None:
    first = finished_run(worker, text="1", kept="the same")
    second = finished_run(worker, text="22", new="by the second")
    live_run(worker, text="333", new="overwritten by the third")

    ends = [next_save(worker, objects, None)]
    ends.append(next_save(worker, objects, ends[0]))
    present = next_save(worker, objects, ends[1])
    assert [end.get("runId") for end in (*ends, present)] == [str(first), str(second), None]
    assert [sizes(worker, objects, end) for end in (*ends, present)] == [
        {"kept": 8, "text": 1},
        {"kept": 8, "text": 2, "new": 13},
        {"kept": 8, "text": 3, "new": 24},
    ]
    manifests = [manifest_of(worker, objects, end) for end in (*ends, present)]
    assert [manifest.parent for manifest in manifests] == [None, *(each.snapshot_id for each in manifests[:2])]
    assert [manifest.at_rest for manifest in manifests] == [True, True, False]

    there = make_worker()
    there.session_id = worker.session_id
    there.start()
    restored(there, objects, ends[1]["snapshotId"], manifestDigest=ends[1]["manifestDigest"])
    assert (there.workspace / "new").read_text() == "by the second"
    assert os.listdir(worker.folder / "state" / "run-ends") == []


def test_a_run_that_changed_nothing_has_an_end_too(worker: Worker, objects: Objects) -> None:
    first = finished_run(worker, text="1")
    head = saved(worker, objects, takes_ends=True)
    second = finished_run(worker, saved_end=first)
    live_run(worker, text="changed")
    end = next_save(worker, objects, head)
    assert (end["runId"], end.get("unchanged"), end["changed"]) == (str(second), False, 0)
    assert sizes(worker, objects, end) == {"text": 1}
    assert len(end["uploaded"]) == 1


def test_a_run_that_is_saved_before_the_next_is_not_kept(worker: Worker, objects: Objects) -> None:
    first = finished_run(worker, text="1")
    head = saved(worker, objects, takes_ends=True)
    live_run(worker, saved_end=first, text="22")
    assert not (worker.folder / "state" / "run-ends").exists()
    assert "runId" not in next_save(worker, objects, head)


def test_another_attempt_of_the_same_run_keeps_nothing(worker: Worker, objects: Objects) -> None:
    run_id = finished_run(worker, text="1")
    again = worker.client.post("/runs", json=worker.run_body(run_id, [["until_stopped"]], attempt=2, claim=2))
    assert again.status_code == 202, again.text
    assert "runId" not in next_save(worker, objects, None)


def test_a_save_without_a_store_gives_way_and_the_end_is_kept(worker: Worker, objects: Objects) -> None:
    first = finished_run(worker, text="1")
    stuck = ask_to_sync(worker, takes_ends=True)  # it gets no links
    live_run(worker, text="22")
    left = state_of(worker, stuck["operationId"])
    assert (left["state"], left["code"]) == ("failed", "run_began")
    end = next_save(worker, objects, None)
    assert (end["runId"], sizes(worker, objects, end)) == (str(first), {"text": 1})


def test_a_save_goes_on_when_a_run_begins_whose_predecessor_s_end_cannot_be_kept(
    worker: Worker, objects: Objects
) -> None:
    finished_run(worker, text="1")
    (worker.folder / "state" / "run-ends").write_text("a file in the folder's place")
    saving = ask_to_sync(worker, takes_ends=True)  # it waits for links while the run begins
    second = live_run(worker, text="22")
    assert worker.receiver.wait_for_event(second, "run.warning")["data"]["code"] == "end_not_kept"
    assert see_through(worker, objects, saving)["state"] == "succeeded"


def test_a_save_goes_on_when_a_file_is_placed_and_the_end_cannot_be_kept(worker: Worker, objects: Objects) -> None:
    finished_run(worker, text="1")
    (worker.folder / "state" / "run-ends").write_text("a file in the folder's place")
    saving = ask_to_sync(worker, takes_ends=True)
    assert placed(worker, "a.txt").status_code == 200
    assert see_through(worker, objects, saving)["state"] == "succeeded"
    told = worker.receiver.wait_for_event(live_run(worker, text="22"), "run.warning")["data"]
    assert told["code"] == "end_not_kept", "the run that follows tells it"


def test_the_upload_of_a_kept_end_goes_on_when_further_runs_begin(worker: Worker, objects: Objects) -> None:
    first = finished_run(worker, text="1")
    second = finished_run(worker, text="22")
    saving = ask_to_sync(worker, takes_ends=True)
    live_run(worker, text="333")
    sent = see_through(worker, objects, saving)
    assert (sent["state"], sent["sync"]["runId"]) == ("succeeded", str(first))
    assert next_save(worker, objects, sent["sync"])["runId"] == str(second)


def test_a_run_that_begins_while_an_upload_has_the_end_kept_starts_after_it(
    worker: Worker, objects: Objects, first_placed: Callable[[], Future[httpx.Response]]
) -> None:
    first = finished_run(worker, text="1")
    upload = first_placed()
    live_run(worker, text="22")
    assert upload.result().status_code == 200
    end = next_save(worker, objects, None)
    assert (end["runId"], sizes(worker, objects, end)) == (str(first), {"text": 1})
    present = next_save(worker, objects, end)
    assert "runId" not in present
    assert sizes(worker, objects, present) == {"text": 2, "uploads/00000000/first.txt": 8}


def test_a_second_upload_waits_until_the_first_one_has_the_end_kept(
    worker: Worker, objects: Objects, first_placed: Callable[[], Future[httpx.Response]]
) -> None:
    first = finished_run(worker, text="1")
    upload = first_placed()
    assert placed(worker, "second.txt").status_code == 200
    assert not (worker.folder / "state" / "run-ends" / "new").exists()
    assert upload.result().status_code == 200
    end = next_save(worker, objects, None)
    assert (end["runId"], sizes(worker, objects, end)) == (str(first), {"text": 1})
    assert len(sizes(worker, objects, next_save(worker, objects, end))) == 3


def test_kept_ends_outlive_the_executor_and_are_sent_until_one_is_the_newest_snapshot(
    worker: Worker, objects: Objects
) -> None:
    first = finished_run(worker, text="1")
    live_run(worker, text="22")
    worker.kill()
    worker.start()
    lost = next_save(worker, objects, None)  # its job worker dies before the commit
    worker.kill()
    worker.start()
    end = next_save(worker, objects, None)
    assert lost["runId"] == end["runId"] == str(first)
    assert sizes(worker, objects, end) == {"text": 1}
    assert end["snapshotId"] != lost["snapshotId"]
    worker.kill()
    worker.start()
    present = next_save(worker, objects, end)
    assert "runId" not in present
    assert sizes(worker, objects, present) == {"text": 2}


def test_a_killed_executor_still_knows_whose_end_is_to_be_kept(worker: Worker, objects: Objects) -> None:
    first = finished_run(worker, text="1")
    worker.kill()
    worker.start()
    live_run(worker, text="22")
    end = next_save(worker, objects, None)
    assert (end["runId"], sizes(worker, objects, end)) == (str(first), {"text": 1})


def test_an_upload_between_two_runs_is_not_in_the_first_one_s_end(worker: Worker, objects: Objects) -> None:
    first = finished_run(worker, text="1")
    assert placed(worker, "a.txt").status_code == 200
    end = next_save(worker, objects, None)
    assert (end["runId"], sizes(worker, objects, end)) == (str(first), {"text": 1})
    assert "uploads/00000000/a.txt" in sizes(worker, objects, saved(worker, objects, head=end["snapshotId"]))


def test_a_caller_that_takes_no_ends_gets_the_present_state_and_no_end_comes_later(
    worker: Worker, objects: Objects
) -> None:
    finished_run(worker, text="1")
    live_run(worker, text="22")
    present = saved(worker, objects, atRest=False)
    assert sizes(worker, objects, present) == {"text": 2}
    assert "runId" not in next_save(worker, objects, present)


def test_an_end_that_cannot_be_kept_is_told_in_the_next_run(worker: Worker, objects: Objects) -> None:
    finished_run(worker, text="1")
    (worker.folder / "state" / "run-ends").write_text("a file in the folder's place")
    second = live_run(worker, text="22")
    told = worker.receiver.wait_for_event(second, "run.warning")["data"]
    assert told["code"] == "end_not_kept"
    assert "could not be kept apart" in told["message"]
    present = next_save(worker, objects, None)
    assert "runId" not in present
    assert sizes(worker, objects, present) == {"text": 2}


def cut_off(kept: Path) -> None:
    kept.write_bytes(kept.read_bytes()[:-20])


def overwrite_first_object(kept: Path) -> None:
    with kept.open("r+b") as file:
        file.write(b"other bytes")


def overwrite_manifest(kept: Path) -> None:
    data = kept.read_bytes()
    size = int.from_bytes(data[-8:])
    kept.write_bytes(data[: -8 - size - 11] + b"other bytes" + data[-8 - size :])


@pytest.mark.parametrize("damage", [cut_off, overwrite_first_object, overwrite_manifest])
def test_what_was_kept_and_is_damaged_is_given_up_and_saves_go_on(
    worker: Worker, objects: Objects, damage: Callable[[Path], None]
) -> None:
    finished_run(worker, text="1")
    live_run(worker, text="22")
    [kept] = (worker.folder / "state" / "run-ends").iterdir()
    damage(kept)
    failed = see_through(worker, objects, ask_to_sync(worker, takes_ends=True, atRest=False))
    assert (failed["state"], failed["code"]) == ("failed", "end_incomplete")
    assert not any(b"other bytes" in stored for stored in objects.stored.values())
    assert sizes(worker, objects, next_save(worker, objects, None)) == {"text": 2}


def test_no_end_is_sent_on_top_of_objects_that_the_store_lost(worker: Worker, objects: Objects) -> None:
    first = finished_run(worker, text="1")
    head = saved(worker, objects, takes_ends=True)
    finished_run(worker, saved_end=first, text="22")
    live_run(worker, text="333")
    objects.stored.clear()
    lost = {"headLost": "true"}
    refused = see_through(worker, objects, ask_to_sync(worker, takes_ends=True, query=lost, atRest=False))
    assert (refused["state"], refused["code"]) == ("failed", "end_incomplete")
    assert sizes(worker, objects, next_save(worker, objects, None)) == {"text": 3}
    assert head["snapshotId"] not in str(objects.stored)

"""Saving and restoring through a real executor: its routes, its engine, what runs may do meanwhile."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import httpx
import psutil
import pytest

from tests.integration.executor.conftest import Worker, wait_until
from tests.integration.executor.saving import (
    Answer,
    ask_to_restore,
    ask_to_sync,
    kill_snapshotter,
    restored,
    saved,
    see_through,
    snapshotters_of,
    state_of,
)
from tests.integration.executor.snapshotter.objects import Objects
from tests.integration.executor.snapshotter.trees import look
from tests.thoroughness import times


@pytest.fixture
def objects() -> Iterator[Objects]:
    objects = Objects()
    yield objects
    objects.close()


@pytest.fixture
def make_place(make_worker: Callable[..., Worker], worker: Worker) -> Callable[[], Worker]:
    """Further places of the same session."""

    def make() -> Worker:
        place = make_worker()
        place.session_id = worker.session_id
        place.start()
        return place

    return make


def fill(worker: Worker) -> None:
    for number in range(60):
        path = worker.workspace / f"folder {number % 5}" / f"f{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{number}" * 100)
    (worker.workspace / "large").write_bytes(os.urandom(5 << 20))
    (worker.workspace / "link").symlink_to("large")
    kept = worker.folder / "home" / ".runyard-demo"
    kept.mkdir()
    (kept / "conversation").write_text("hello")
    (worker.folder / "home" / ".codex").mkdir()
    (worker.folder / "home" / ".codex" / "auth.json").write_text("a login")
    (worker.folder / "home" / "elsewhere").write_text("not kept")


def is_restored(worker: Worker) -> object:
    return httpx.get(f"{worker.client.base_url}/health", trust_env=False).json()["restored"]


def test_what_one_worker_saved_another_restores(
    worker: Worker, objects: Objects, make_place: Callable[[], Worker]
) -> None:
    fill(worker)
    receipt = saved(worker, objects)
    assert receipt["files"] == 62
    assert set(receipt["objects"]) == set(objects.stored)
    assert saved(worker, objects, head=receipt["snapshotId"], atRest=False)["unchanged"]

    there = make_place()
    assert is_restored(there) is False
    told = restored(there, objects, receipt["snapshotId"], manifestDigest=receipt["manifestDigest"])
    assert (told["files"], told["snapshotId"]) == (63, receipt["snapshotId"])
    assert is_restored(there) is True
    assert look(there.workspace) == look(worker.workspace)
    home = there.folder / "home"
    assert (home / ".runyard-demo" / "conversation").read_text() == "hello"
    assert not (home / ".codex" / "auth.json").exists()
    assert not (home / "elsewhere").exists()
    assert saved(there, objects, head=receipt["snapshotId"])["unchanged"]


def test_a_restore_that_is_done_is_not_done_again(
    worker: Worker, objects: Objects, make_place: Callable[[], Worker]
) -> None:
    fill(worker)
    snapshot_id = saved(worker, objects)["snapshotId"]
    there = make_place()
    first = restored(there, objects, snapshot_id)
    (there.workspace / "large").write_text("changed by an agent")
    assert restored(there, objects, snapshot_id) == first
    there.kill()
    there.start()
    assert is_restored(there) is True
    assert restored(there, objects, snapshot_id) == first
    assert (there.workspace / "large").read_text() == "changed by an agent"
    other = ask_to_restore(there, str(uuid4()))
    assert (other["status"], other["code"]) == (409, "restored_already")


def test_one_operation_at_a_time(worker: Worker, objects: Objects) -> None:
    fill(worker)
    snapshot_id = str(uuid4())
    asked = ask_to_sync(worker, snapshotId=snapshot_id)
    assert ask_to_sync(worker, snapshotId=snapshot_id)["operationId"] == asked["operationId"]
    for refused in (ask_to_sync(worker), ask_to_restore(worker, str(uuid4()))):
        assert (refused["status"], refused["code"], refused["operationId"]) == (409, "busy", asked["operationId"])
    assert see_through(worker, objects, asked)["state"] == "succeeded"
    assert state_of(worker, str(uuid4()))["status"] == 404


def test_a_save_that_nobody_sees_through_gives_way_to_another(worker: Worker, objects: Objects) -> None:
    fill(worker)
    forsaken = ask_to_sync(worker)
    asked: Answer = {}

    def is_taken() -> bool:
        asked.update(ask_to_sync(worker))
        return bool(asked["status"] == 202)

    wait_until(is_taken, lambda: str(asked))
    left = state_of(worker, forsaken["operationId"])
    assert (left["state"], left["code"]) == ("failed", "abandoned")
    assert see_through(worker, objects, asked)["state"] == "succeeded"
    assert snapshotters_of(worker) == []


def test_another_session_and_an_older_epoch_are_refused(worker: Worker) -> None:
    assert ask_to_sync(worker, sessionId=str(uuid4()))["code"] == "wrong_session"
    assert ask_to_sync(worker, epoch=2)["code"] == "stale_epoch"
    assert ask_to_restore(worker, None, epoch=2)["code"] == "stale_epoch"


def test_no_run_starts_on_a_place_that_is_half_restored(
    worker: Worker, objects: Objects, make_place: Callable[[], Worker]
) -> None:
    fill(worker)
    snapshot_id = saved(worker, objects)["snapshotId"]
    pack = next(key for key in objects.stored if "/packs/" in key)
    whole = objects.stored.pop(pack)

    there = make_place()
    asked = ask_to_restore(there, snapshot_id)
    assert refused(there) == "workspace_not_ready"
    assert see_through(there, objects, asked)["code"] == "object_missing"
    for _ in range(2):
        assert refused(there) == "workspace_not_ready"
        assert ask_to_sync(there)["code"] == "workspace_not_ready"
        assert is_restored(there) is False
        there.kill()
        there.start()
    assert os.listdir(there.workspace) == []

    objects.stored[pack] = whole
    restored(there, objects, snapshot_id)
    there.run([["say", "test.done", 1]])
    assert look(there.workspace) == look(worker.workspace)


def refused(worker: Worker) -> object:
    answer = worker.client.post("/runs", json=worker.run_body(uuid4(), []))
    assert answer.status_code == 409, answer.text
    return answer.json()["code"]


def test_while_an_agent_lives_its_home_is_not_at_rest(worker: Worker, objects: Objects) -> None:
    fill(worker)
    run_id = worker.run([["until_stopped"]])
    assert ask_to_sync(worker)["code"] == "run_live"
    assert ask_to_restore(worker, str(uuid4()))["code"] == "run_live"
    assert saved(worker, objects, atRest=False)["files"] == 61
    assert worker.client.delete(f"/runs/{run_id}").status_code == 202


def test_a_run_does_not_wait_for_the_upload_of_what_was_read(worker: Worker, objects: Objects) -> None:
    fill(worker)
    asked = ask_to_sync(worker)
    run_id = worker.run([["until_stopped"]])  # no link was given yet
    assert see_through(worker, objects, asked)["state"] == "succeeded"
    assert worker.state(run_id)["state"] in {"starting", "running"}
    worker.client.delete(f"/runs/{run_id}")


def test_an_expired_link_is_asked_for_anew(worker: Worker, objects: Objects) -> None:
    fill(worker)
    given: set[str] = set()

    def first_is_expired(method: str, key: str) -> int | None:
        name = f"{method} {key}"
        if name in given:
            return None
        given.add(name)
        return 403

    objects.hurt = first_is_expired
    receipt = saved(worker, objects)
    assert objects.count("PUT") == 2 * len(receipt["uploaded"])


@pytest.mark.timeout(times(180, 3600))
def test_a_killed_engine_leaves_a_place_that_can_be_used(
    worker: Worker, objects: Objects, make_place: Callable[[], Worker]
) -> None:
    chance = random.Random(7)
    fill(worker)
    objects.pause_seconds = 0.01
    for number in range(times(6, 200)):
        (worker.workspace / "changing").write_bytes(os.urandom(3 << 20))
        kill_in = Countdown(worker, after=chance.uniform(0, 0.6))
        state = see_through(worker, objects, ask_to_sync(worker), meanwhile=kill_in)
        assert state["state"] == "succeeded" or state["code"] == "engine_died", (number, state)
    receipt = saved(worker, objects)

    there = make_place()
    for number in range(times(6, 200)):
        kill_in = Countdown(there, after=chance.uniform(0, 0.6))
        state = see_through(there, objects, ask_to_restore(there, receipt["snapshotId"]), meanwhile=kill_in)
        if state["state"] == "succeeded":
            break
        assert state["code"] == "engine_died", (number, state)
        assert refused(there) == "workspace_not_ready"
    restored(there, objects, receipt["snapshotId"])
    assert look(there.workspace) == look(worker.workspace)
    there.run([["say", "test.done", 1]])


class Countdown:
    """Kills the engine once, so long after it was made."""

    def __init__(self, worker: Worker, *, after: float) -> None:
        self._worker = worker
        self._at = time.monotonic() + after

    def __call__(self, state: Answer) -> None:
        if time.monotonic() >= self._at and state.get("state") == "running":
            kill_snapshotter(self._worker)


def test_a_killed_executor_takes_its_engine_along(worker: Worker, objects: Objects) -> None:
    fill(worker)
    ask_to_sync(worker)
    wait_until(lambda: bool(snapshotters_of(worker)), lambda: "no engine was started")
    engines = snapshotters_of(worker)
    worker.kill()
    psutil.wait_procs(engines, timeout=20)
    assert not any(engine.is_running() for engine in engines)
    worker.start()
    assert saved(worker, objects)["files"] == 62


def test_an_engine_is_given_nothing_that_it_does_not_need(worker: Worker, objects: Objects) -> None:
    fill(worker)
    asked = ask_to_sync(worker)
    wait_until(lambda: bool(state_of(worker, asked["operationId"]).get("wants")), lambda: "it wants nothing")
    [engine] = snapshotters_of(worker)
    assert set(engine.environ()) <= {
        "PATH",
        "PYTHONPATH",
        "PYTHONDONTWRITEBYTECODE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "LC_CTYPE",
    }
    assert see_through(worker, objects, asked)["state"] == "succeeded"


def test_a_lost_index_costs_nothing_but_reading(worker: Worker, objects: Objects) -> None:
    fill(worker)
    head = saved(worker, objects)["snapshotId"]
    index = worker.folder / "state" / "scan.index"
    for damage in (b"", b"no index", index.read_bytes()[:-100]):
        index.write_bytes(damage)
        assert saved(worker, objects, head=head)["unchanged"]
    shutil.rmtree(worker.workspace)
    failed = see_through(worker, objects, ask_to_sync(worker, head=head))
    assert (failed["state"], failed["code"]) == ("failed", "not_possible")


def test_a_file_of_the_home_with_a_providers_key_never_leaves_the_worker(
    make_worker: Callable[..., Worker], objects: Objects
) -> None:
    key = "sk-live-0123456789-abcdef"
    worker = make_worker(OPENAI_API_KEY=key)
    worker.start()
    shell = worker.folder / "home" / ".codex" / "shell_snapshots"
    shell.mkdir(parents=True)
    (shell / "1.sh").write_text(f"export OPENAI_API_KEY={key}")
    (shell.parent / "history.jsonl").write_text("{}")
    (worker.workspace / ".env").write_text(f"OPENAI_API_KEY={key}")

    receipt = saved(worker, objects)

    assert receipt["files"] == 2
    assert [(path["path"], path["reason"]) for path in receipt["skipped"]] == [
        (".env", "holds_secret"),
        (".codex/shell_snapshots/1.sh", "secret_left_out"),
    ]
    assert key not in worker.log.read_text()

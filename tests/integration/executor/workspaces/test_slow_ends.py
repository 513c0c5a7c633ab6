"""An end that takes long is kept all the same: what would write meanwhile is asked to come again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from executor.process.account import AgentAccount
from executor.workspaces import end_keeper
from executor.workspaces.end_keeper import EndKeeper
from executor.workspaces.home_filter import HomeFilter
from executor.workspaces.kept_ends import KeptEnds, UnsavedRun
from executor.workspaces.refusals import EndBeingKept
from executor.workspaces.sync_operations import SyncOperations
from schema.executor_api import END_BEING_KEPT
from tests.integration.executor.conftest import ROOT, Worker
from tests.integration.executor.saving import ask_to_restore, ask_to_sync
from tests.integration.executor.snapshotter.objects import Objects
from tests.integration.executor.workspaces.test_run_ends import finished_run, next_save, sizes


@pytest.fixture
def objects() -> Iterator[Objects]:
    objects = Objects()
    yield objects
    objects.close()


class Gate:
    """A registry of providers that each save reads first, and that nobody can read while the gate is shut."""

    def __init__(self, registry: Path) -> None:
        self.registry = registry
        shutil.copy(ROOT / "providers.toml", registry)

    def shut(self) -> None:
        pipe = self.registry.with_suffix(".pipe")
        os.mkfifo(pipe)
        pipe.replace(self.registry)

    def open(self) -> None:
        """Let those who read it go on, and all who come later."""
        if not stat.S_ISFIFO(self.registry.stat().st_mode):
            return
        pipe = os.open(self.registry, os.O_RDWR)
        content = self.registry.with_suffix(".new")
        shutil.copy(ROOT / "providers.toml", content)
        content.replace(self.registry)
        os.set_blocking(pipe, False)
        os.write(pipe, b"[providers]\n")
        os.close(pipe)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "providers.toml")
    yield gate
    gate.open()


@pytest.fixture
def worker(make_worker: Callable[..., Worker], gate: Gate) -> Worker:
    worker = make_worker(PROVIDERS_FILE=str(gate.registry))
    worker.start()
    return worker


def asked_once(worker: Worker, method: str, path: str, **content: Any) -> httpx.Response:
    return worker.client.send(worker.client.build_request(method, path, **content))


def begin_when_kept(worker: Worker, body: dict[str, object]) -> None:
    answer = worker.client.post("/runs", json=body)
    assert answer.status_code == 202, answer.text


def test_a_run_begins_only_when_the_end_before_is_kept_however_many_calls_that_takes(
    worker: Worker, objects: Objects, gate: Gate
) -> None:
    first = finished_run(worker, text="1")
    stopped, second = (worker.run_body(uuid4(), [["until_stopped"]]) for _ in range(2))
    gate.shut()
    answer = asked_once(worker, "POST", "/runs", json=stopped)
    assert (answer.status_code, answer.json()["code"]) == (503, END_BEING_KEPT)
    assert worker.client.delete(f"/runs/{stopped['runId']}?claim=1").json()["state"] == "refused"
    upload = asked_once(worker, "PUT", "/files/uploads?path=uploads/00000000/a.txt", content=b"a user's")
    assert (upload.status_code, upload.json()["code"]) == (503, END_BEING_KEPT)
    assert not (worker.workspace / "uploads").exists()
    assert ask_to_restore(worker, None)["code"] == "run_live"
    assert ask_to_sync(worker, takes_ends=True)["code"] == "busy"
    gate.open()
    begin_when_kept(worker, second)
    (worker.workspace / "text").write_text("22")
    assert worker.client.post("/runs", json=stopped).json()["code"] == "stale_claim"

    end = next_save(worker, objects, None)
    assert (end["runId"], sizes(worker, objects, end)) == (str(first), {"text": 1})
    assert sizes(worker, objects, next_save(worker, objects, end)) == {"text": 2}
    assert "end_not_kept" not in str(worker.receiver.events)


@pytest.mark.parametrize("end_by", [signal.SIGKILL, signal.SIGTERM])
def test_an_end_is_kept_by_the_next_executor_when_one_ends_in_the_middle(
    worker: Worker, objects: Objects, gate: Gate, end_by: signal.Signals
) -> None:
    first = finished_run(worker, text="1")
    second = worker.run_body(uuid4(), [["until_stopped"]])
    gate.shut()
    assert asked_once(worker, "POST", "/runs", json=second).json()["code"] == END_BEING_KEPT
    assert worker.process is not None
    worker.process.send_signal(end_by)
    gate.open()
    worker.process.wait(30)
    worker.start()
    begin_when_kept(worker, second)
    (worker.workspace / "text").write_text("22")
    end = next_save(worker, objects, None)
    assert (end["runId"], sizes(worker, objects, end)) == (str(first), {"text": 1})


@pytest.fixture
def keeper(tmp_path: Path) -> EndKeeper:
    """One in this process, with an end to be kept. Its snapshotters are real."""
    roots = {name: str(tmp_path / name) for name in ("workspace", "home", "state")}
    for folder in roots.values():
        Path(folder).mkdir()
    keeper = EndKeeper(
        uuid4(),
        roots={"workspace": roots["workspace"], "home": roots["home"]},
        state_dir=Path(roots["state"]),
        account=AgentAccount(),
        home_filter=HomeFilter,
        current=lambda: None,
    )
    keeper.ends.begin(UnsavedRun(uuid4(), []))
    return keeper


def test_an_end_whose_reading_stands_still_is_given_up(keeper: EndKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_keeper, "STALLED_SECONDS", 0.001)  # less than a snapshotter takes to report anything
    asyncio.run(keeper.have_kept(next_run=None))
    assert keeper.lost == "Reading it made no progress for 0.001 s."
    assert (keeper.ends.oldest, keeper.ends.unsaved) == (None, None)


def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, times: int) -> None:
    """Have the next snapshotters die before they do anything."""
    script = tmp_path / "python"
    script.write_text(
        f'#!/bin/sh\ncd {tmp_path}\nif [ "$(ls died.* 2>/dev/null | wc -l)" -lt {times} ]; then\n'
        f'  touch died.$$\n  kill -KILL $$\nfi\nexec {sys.executable} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))


@pytest.mark.parametrize(("deaths", "is_kept"), [(end_keeper.TRIES - 1, True), (end_keeper.TRIES, False)])
def test_a_snapshotter_that_dies_is_started_again(
    keeper: EndKeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, deaths: int, is_kept: bool
) -> None:
    monkeypatch.setattr(end_keeper, "HELD_SECONDS", 60)
    dying(tmp_path, monkeypatch, times=deaths)
    asyncio.run(keeper.have_kept(next_run=None))
    assert ((keeper.ends.oldest is not None), keeper.lost is None) == (is_kept, is_kept)
    assert len(list(tmp_path.glob("died.*"))) == deaths


def test_calls_that_wait_for_an_end_do_not_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_keeper, "HELD_SECONDS", 1)
    for name in ("workspace", "home", "state"):
        (tmp_path / name).mkdir()
    KeptEnds(tmp_path / "state").begin(UnsavedRun(uuid4(), []))
    may_read = threading.Event()

    def home_filter() -> HomeFilter:
        may_read.wait(60)
        return HomeFilter()

    operations = SyncOperations(
        session_id=uuid4(),
        epoch=1,
        workspace=tmp_path / "workspace",
        home=tmp_path / "home",
        state_dir=tmp_path / "state",
        account=AgentAccount(),
        home_filter=home_filter,
        has_run=lambda: False,
    )

    async def is_admitted() -> bool:
        try:
            async with operations.admitting_upload(None):
                return True
        except EndBeingKept:
            return False

    async def ask() -> list[bool]:
        async with asyncio.timeout(40):  # one after the other they would take 60 s
            first = await asyncio.gather(*(is_admitted() for _ in range(60)))
        may_read.set()
        while not await is_admitted():
            pass
        return first

    assert asyncio.run(ask()) == [False] * 60
    assert KeptEnds(tmp_path / "state").oldest is not None

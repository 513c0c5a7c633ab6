"""What the control plane does to have a workspace saved or restored: asks, gives links, and asks again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import psutil

from tests.integration.executor.conftest import Worker
from tests.integration.executor.snapshotter.objects import Objects
from tests.integration.executor.snapshotter.session_disk import ALL

Answer = dict[str, Any]


def ask_to_sync(
    worker: Worker, *, takes_ends: bool = False, query: dict[str, str] | None = None, **changes: object
) -> Answer:
    """The operation as it began. With `takes_ends`, the oldest kept end of a run comes before the present state."""
    body = {
        "sessionId": str(worker.session_id),
        "epoch": 3,
        "snapshotId": str(uuid4()),
        "reason": "run",
        "atRest": True,
        **changes,
    }
    params = {**({"takesEnds": "true"} if takes_ends else {}), **(query or {})}
    answer = worker.client.post("/workspace/sync", json=body, params=params)
    return {"status": answer.status_code, **answer.json()}


def ask_to_restore(worker: Worker, snapshot_id: str | None, **changes: object) -> Answer:
    body = {"sessionId": str(worker.session_id), "epoch": 3, "plan": ALL, **changes}
    if snapshot_id is not None:
        body["snapshotId"] = snapshot_id
    answer = worker.client.post("/workspace/restore", json=body)
    return {"status": answer.status_code, **answer.json()}


def state_of(worker: Worker, operation_id: str, *, wait: float = 0) -> Answer:
    answer = worker.client.get(f"/workspace/operations/{operation_id}", params={"wait": wait})
    return {"status": answer.status_code, **answer.json()}


def see_through(
    worker: Worker, objects: Objects, asked: Answer, *, meanwhile: Callable[[Answer], None] = lambda _: None
) -> Answer:
    """Give whatever links are wanted until the operation has ended; `meanwhile` is called with each state."""
    assert asked["status"] == 202, asked
    while True:
        state = state_of(worker, asked["operationId"], wait=5)
        meanwhile(state)
        if state["status"] != 200 or state["state"] != "running":
            return state
        wants = state.get("wants", [])
        links = {f"{want['method']} {want['key']}": objects.link(want["method"], want["key"]) for want in wants}
        if links:
            given = worker.client.post(f"/workspace/operations/{asked['operationId']}/links", json={"links": links})
            assert given.status_code == 200, given.text


def saved(
    worker: Worker,
    objects: Objects,
    *,
    takes_ends: bool = False,
    query: dict[str, str] | None = None,
    **changes: object,
) -> Answer:
    """The receipt of a save."""
    state = see_through(worker, objects, ask_to_sync(worker, takes_ends=takes_ends, query=query, **changes))
    assert state["state"] == "succeeded", state
    return dict(state["sync"])


def restored(worker: Worker, objects: Objects, snapshot_id: str | None, **changes: object) -> Answer:
    state = see_through(worker, objects, ask_to_restore(worker, snapshot_id, **changes))
    assert state["state"] == "succeeded", state
    return dict(state["restore"])


def snapshotters_of(worker: Worker) -> list[psutil.Process]:
    assert worker.process is not None
    return [child for child in psutil.Process(worker.process.pid).children() if is_snapshotter(child)]


def is_snapshotter(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):  # it has just ended
        return "executor.snapshotter" in " ".join(process.cmdline())
    return False


def kill_snapshotter(worker: Worker) -> None:
    """SIGKILL, if one lives."""
    for engine in snapshotters_of(worker):
        os.kill(engine.pid, signal.SIGKILL)

"""The executor with a real ACP agent: our demo provider, from prompt to end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.executor.conftest import Worker
from tests.integration.executor.receiver import Receiver


@pytest.fixture
def demo(make_worker: Callable[..., Worker]) -> Worker:
    worker = make_worker("executor")
    worker.start()
    return worker


def test_it_works_asks_and_ends(demo: Worker, receiver: Receiver) -> None:
    run_id = demo.run("Have a look", provider="demo", options={"mode": "ask"})
    asked = receiver.wait_for_event(run_id, "human_loop.requested")
    request_id = asked["data"]["requestId"]
    body = {"requestId": request_id, "decision": "allow"}
    assert demo.client.post(f"/runs/{run_id}/human-loop/{request_id}", json=body).status_code == 202
    finished = receiver.wait_for_event(run_id, "run.finished")
    assert finished["data"]["status"] == "succeeded"
    assert (demo.workspace / "notes.md").exists()
    types = receiver.types(run_id)
    assert types[0] == "run.started"
    assert {"message.delta", "message.stop", "tool.call", "todo.update", "human_loop.applied"} <= set(types)
    assert [event["n"] for event in receiver.events(run_id)] == [*range(1, len(types) + 1)]


def test_it_can_be_stopped_while_it_asks(demo: Worker, receiver: Receiver) -> None:
    run_id = demo.run("Have a look", provider="demo", options={"mode": "ask"})
    receiver.wait_for_event(run_id, "human_loop.requested")
    demo.client.delete(f"/runs/{run_id}")
    assert receiver.wait_for_event(run_id, "run.finished")["data"]["status"] == "cancelled"


def test_an_unknown_provider_fails_the_run_with_a_sentence(demo: Worker, receiver: Receiver) -> None:
    run_id = demo.run("Hello", provider="nobody")
    reason = receiver.wait_for_event(run_id, "run.finished")["data"]["reason"]
    assert reason["code"] == "provider_unknown"
    assert "'nobody'" in reason["message"]

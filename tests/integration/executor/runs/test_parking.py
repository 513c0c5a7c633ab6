"""A run that is parked ends its agent and is not over; the answer that comes later is used once, for the same call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from tests.integration.executor.conftest import Worker
from tests.integration.executor.process.test_life import is_gone, spawned
from tests.integration.executor.receiver import Receiver

FINGERPRINT = "f"
"""Of whatever the scripted agent asks."""


def park(worker: Worker, run_id: UUID, *, claim: int = 1) -> dict[str, Any]:
    answer = worker.client.delete(f"/runs/{run_id}", params={"claim": claim, "park": "true"})
    assert answer.status_code == 202
    return dict(answer.json())


def wait_until_parked(worker: Worker, run_id: UUID) -> None:
    worker.wait_for_state(run_id, lambda state: bool(state["state"] == "parked"))


def asking(worker: Worker, receiver: Receiver, *before: object) -> tuple[UUID, UUID]:
    """A run whose agent waits for an answer, and the request."""
    request_id = uuid4()
    run_id = worker.run([*before, ["ask", str(request_id)]])
    receiver.wait_for_event(run_id, "human_loop.requested")
    return run_id, request_id


def carried(request_id: UUID, *, fingerprint: str = FINGERPRINT, decision: str = "allow") -> dict[str, object]:
    answer = {"requestId": str(request_id), "decision": decision}
    return {"requestId": str(request_id), "fingerprint": fingerprint, "title": "May I?", "answer": answer}


def go_on(worker: Worker, run_id: UUID, prompt: object, *answers: object) -> None:
    body = worker.run_body(run_id, prompt, attempt=2, claim=2, answers=list(answers))
    assert worker.client.post("/runs", json=body).status_code == 202


def test_a_parked_run_leaves_no_process_and_has_not_ended(worker: Worker, receiver: Receiver) -> None:
    run_id, _ = asking(worker, receiver, ["spawn"])
    assert park(worker, run_id)["state"] == "stopping"
    wait_until_parked(worker, run_id)
    assert is_gone(spawned(worker))
    assert worker.client.get("/health").json()["runs"] == 0
    assert receiver.types(run_id)[-1] == "human_loop.requested"
    state = worker.state(run_id)
    assert state["ackedN"] == state["lastN"]


def test_parking_again_changes_nothing(worker: Worker, receiver: Receiver) -> None:
    run_id, _ = asking(worker, receiver)
    park(worker, run_id)
    wait_until_parked(worker, run_id)
    assert park(worker, run_id)["state"] == "parked"


def test_a_parked_run_is_remembered_by_the_next_executor(worker: Worker, receiver: Receiver) -> None:
    run_id, _ = asking(worker, receiver)
    park(worker, run_id)
    wait_until_parked(worker, run_id)
    worker.kill()
    worker.start()
    assert worker.state(run_id)["state"] == "parked"
    assert "run.warning" not in receiver.types(run_id)


def test_a_stop_ends_a_run_that_is_being_parked(make_worker: Callable[..., Worker], receiver: Receiver) -> None:
    worker = make_worker(EXECUTOR_STOP_GRACE_SECONDS="1")
    worker.start()
    run_id, _ = asking(worker, receiver, ["ignore_stop"])
    park(worker, run_id)
    worker.client.delete(f"/runs/{run_id}", params={"claim": 2})
    assert receiver.wait_for_event(run_id, "run.finished")["data"]["status"] == "cancelled"


def test_an_unknown_run_is_nothing_to_park(worker: Worker) -> None:
    run_id = uuid4()
    assert park(worker, run_id)["state"] == "refused"


def test_the_same_call_gets_its_answer_without_asking(worker: Worker, receiver: Receiver) -> None:
    run_id, request_id = asking(worker, receiver)
    park(worker, run_id)
    wait_until_parked(worker, run_id)
    go_on(worker, run_id, [["ask", str(uuid4())]], carried(request_id))
    assert receiver.wait_for_event(run_id, "test.answered", attempt=2)["data"]["value"] == "allow"
    receiver.wait_for_event(run_id, "run.finished", attempt=2)
    assert "human_loop.requested" not in receiver.types(run_id, 2)


def test_an_answer_is_used_for_one_call_only(worker: Worker, receiver: Receiver) -> None:
    run_id, again = uuid4(), uuid4()
    body = worker.run_body(run_id, [["ask", str(uuid4())], ["ask", str(again)]], answers=[carried(uuid4())])
    assert worker.client.post("/runs", json=body).status_code == 202
    asked = receiver.wait_for_event(run_id, "human_loop.requested")
    assert asked["data"]["requestId"] == str(again)


def test_an_answer_to_another_call_is_void_and_says_so(worker: Worker, receiver: Receiver) -> None:
    run_id, request_id = uuid4(), uuid4()
    other = carried(request_id, fingerprint="another")
    body = worker.run_body(run_id, [["ask", str(uuid4())]], answers=[other])
    assert worker.client.post("/runs", json=body).status_code == 202
    receiver.wait_for_event(run_id, "human_loop.requested")
    void = receiver.wait_for_event(run_id, "human_loop.applied")["data"]
    assert (void["requestId"], void["outcome"]) == (str(request_id), "void")
    assert "asked for something else" in void["told"]
    types = receiver.types(run_id)
    assert types.index("human_loop.applied") < types.index("human_loop.requested")


def test_an_answer_that_nobody_asks_for_is_void_at_the_end(worker: Worker, receiver: Receiver) -> None:
    run_id, request_id = uuid4(), uuid4()
    body = worker.run_body(run_id, [], answers=[carried(request_id)])
    assert worker.client.post("/runs", json=body).status_code == 202
    receiver.wait_for_event(run_id, "run.finished")
    assert receiver.types(run_id)[-2:] == ["human_loop.applied", "run.finished"]
    assert receiver.events(run_id)[-2]["data"]["outcome"] == "void"


def test_a_killed_executor_says_which_answers_it_had(worker: Worker, receiver: Receiver) -> None:
    run_id, used = uuid4(), uuid4()
    prompt = [["ask", str(uuid4())], ["until_stopped"]]
    body = worker.run_body(run_id, prompt, answers=[carried(used), carried(uuid4(), fingerprint="another")])
    assert worker.client.post("/runs", json=body).status_code == 202
    receiver.wait_for_event(run_id, "test.answered")
    worker.kill()
    worker.start()
    assert receiver.wait_for_event(run_id, "run.warning")["data"]["taken"] == [str(used)]

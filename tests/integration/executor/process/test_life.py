"""Starts, stops, answers and ends: what an executor takes, and what it leaves when it dies."""

from __future__ import annotations

import signal
import stat
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest

from tests.integration.executor.conftest import Worker
from tests.integration.executor.receiver import Answering, Receiver

WAITS_FOREVER = [["until_stopped"]]


def code(worker: Worker, run_id: UUID, prompt: object = (), **changes: object) -> tuple[int, Any]:
    answer = worker.client.post("/runs", json=worker.run_body(run_id, prompt, **changes))
    return answer.status_code, answer.json().get("code", answer.json().get("state"))


def spawned(worker: Worker) -> int:
    return int((worker.workspace / "pid").read_text())


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_the_same_start_again_is_answered_and_starts_nothing(worker: Worker, receiver: Receiver) -> None:
    run_id = uuid4()
    assert code(worker, run_id, [["say", "test.once", None]]) == (202, "starting")
    assert code(worker, run_id, [["say", "test.once", None]])[0] == 200
    receiver.wait_for_event(run_id, "run.finished")
    assert code(worker, run_id, [["say", "test.once", None]]) == (200, "finished")
    assert receiver.types(run_id).count("test.once") == 1


def test_older_claims_attempts_and_epochs_are_refused(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run([], attempt=2, claim=5)
    receiver.wait_for_event(run_id, "run.finished", attempt=2)
    assert code(worker, run_id, attempt=2, claim=4) == (409, "stale_claim")
    assert code(worker, run_id, attempt=3, claim=4) == (409, "stale_claim")
    assert code(worker, run_id, attempt=1, claim=6) == (409, "stale_attempt")
    assert code(worker, uuid4(), epoch=2) == (409, "stale_epoch")
    assert code(worker, uuid4(), sessionId=str(uuid4())) == (409, "wrong_session")


def test_an_epoch_older_than_one_that_was_seen_is_refused_by_the_next_executor_too(
    worker: Worker, receiver: Receiver
) -> None:
    run_id = worker.run([], epoch=5)
    receiver.wait_for_event(run_id, "run.finished")
    assert code(worker, uuid4(), epoch=4) == (409, "stale_epoch")
    worker.kill()
    worker.start()
    assert code(worker, uuid4(), epoch=4) == (409, "stale_epoch")


def test_a_second_run_has_to_wait_for_the_first(worker: Worker, receiver: Receiver) -> None:
    first = worker.run(WAITS_FOREVER)
    assert code(worker, uuid4()) == (409, "busy")
    assert worker.client.delete(f"/runs/{first}").status_code == 202
    receiver.wait_for_event(first, "run.finished")
    assert code(worker, uuid4())[0] == 202


def test_a_new_attempt_takes_the_place_of_one_that_still_lives(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run([["spawn"], ["until_stopped"]])
    receiver.wait_for_event(run_id, "test.spawned")
    assert code(worker, run_id, [], attempt=2, claim=2) == (202, "starting")
    receiver.wait_for_event(run_id, "run.finished", attempt=2)
    assert is_gone(spawned(worker))
    assert [event["n"] for event in receiver.events(run_id, 2)] == [1, 2]
    assert "run.finished" not in receiver.types(run_id, 1)


def test_a_stop_ends_the_run_as_cancelled_and_leaves_no_process(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run([["spawn"], ["until_stopped"]])
    receiver.wait_for_event(run_id, "test.spawned")
    assert worker.client.delete(f"/runs/{run_id}", params={"claim": 1}).json()["state"] == "stopping"
    assert receiver.wait_for_event(run_id, "run.finished")["data"]["status"] == "cancelled"
    assert is_gone(spawned(worker))


def test_an_agent_that_ignores_its_stop_is_cut_off(make_worker: Callable[..., Worker], receiver: Receiver) -> None:
    worker = make_worker(EXECUTOR_STOP_GRACE_SECONDS="0")
    worker.start()
    run_id = worker.run([["ignore_stop"], ["spawn"], ["until_stopped"]])
    receiver.wait_for_event(run_id, "test.spawned")
    worker.client.delete(f"/runs/{run_id}")
    finished = receiver.wait_for_event(run_id, "run.finished")
    assert finished["data"]["reason"]["code"] == "stopped_by_force"
    assert is_gone(spawned(worker))


def test_a_stop_of_an_unknown_run_refuses_its_late_start(worker: Worker) -> None:
    run_id = uuid4()
    stopped = worker.client.delete(f"/runs/{run_id}", params={"claim": 4})
    assert (stopped.status_code, stopped.json()["state"]) == (202, "refused")
    assert code(worker, run_id, claim=4) == (409, "stale_claim")
    assert code(worker, run_id, claim=5)[0] == 202


def test_a_stop_is_remembered_by_the_next_executor(worker: Worker) -> None:
    run_id = uuid4()
    worker.client.delete(f"/runs/{run_id}", params={"claim": 4})
    worker.kill()
    worker.start()
    assert code(worker, run_id, claim=4) == (409, "stale_claim")


def test_an_answer_reaches_the_agent_once(worker: Worker, receiver: Receiver) -> None:
    request_id = uuid4()
    run_id = worker.run([["ask", str(request_id)], ["wait", "go"]])
    asked = receiver.wait_for_event(run_id, "human_loop.requested")
    assert asked["data"]["requestId"] == str(request_id)
    assert worker.state(run_id)["state"] == "waiting"
    assert worker.state(run_id)["openRequests"] == [str(request_id)]
    address, body = f"/runs/{run_id}/human-loop/{request_id}", {"requestId": str(request_id), "decision": "allow"}
    assert worker.client.post(address, json=body).status_code == 202
    assert worker.client.post(address, json=body).status_code == 200
    assert worker.client.post(address, json={**body, "decision": "deny"}).status_code == 200
    assert receiver.wait_for_event(run_id, "test.answered")["data"]["value"] == "allow"
    assert worker.state(run_id)["openRequests"] == []
    worker.let_go_on("go")
    receiver.wait_for_event(run_id, "run.finished")
    assert worker.client.post(address, json=body).status_code == 200
    assert receiver.types(run_id).count("test.answered") == 1


def test_an_answer_that_nobody_waits_for_is_unknown(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run(WAITS_FOREVER)
    receiver.wait_for_event(run_id, "run.started")
    request_id = uuid4()
    body = {"requestId": str(request_id), "decision": "allow"}
    answer = worker.client.post(f"/runs/{run_id}/human-loop/{request_id}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "request_unknown")


def test_a_stop_releases_what_is_asked(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run([["ignore_stop"], ["ask", str(uuid4())]])
    receiver.wait_for_event(run_id, "human_loop.requested")
    worker.client.delete(f"/runs/{run_id}")
    assert receiver.wait_for_event(run_id, "test.answered")["data"] == {}


def test_what_breaks_inside_a_turn_fails_that_run_alone(worker: Worker, receiver: Receiver) -> None:
    broken = worker.run([["fail", "the secret detail"]])
    finished = receiver.wait_for_event(broken, "run.finished")
    assert finished["data"]["reason"]["code"] == "executor_error"
    assert "secret" not in finished["data"]["reason"]["message"]
    receiver.wait_for_event(worker.run([]), "run.finished")


def test_what_was_not_delivered_is_delivered_by_the_next_executor(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run([["wait", "go"], *[["say", "test.kept", number] for number in range(20)]])
    receiver.wait_for_event(run_id, "run.started")
    receiver.answer(Answering(503))
    worker.let_go_on("go")
    worker.wait_for_state(run_id, lambda state: bool(state["state"] == "finished"))
    worker.kill()
    receiver.answer(None)
    worker.start()
    receiver.wait_for_event(run_id, "run.finished")
    assert [event["n"] for event in receiver.events(run_id)] == [*range(1, 23)]
    worker.wait_for_state(run_id, lambda state: bool(state["ackedN"] == 22))
    assert worker.client.get("/health").json()["spooled"] == 0


@pytest.mark.parametrize("is_delivered", [True, False])
def test_a_run_whose_executor_was_killed_is_reported_as_lost(
    worker: Worker, receiver: Receiver, *, is_delivered: bool
) -> None:
    if not is_delivered:
        receiver.answer(Answering(503))
    run_id = worker.run([["spawn"], ["until_stopped"]])
    if is_delivered:
        receiver.wait_for_event(run_id, "test.spawned")
    else:
        receiver.wait_for(lambda: len(receiver.calls) >= 1)
    worker.kill()
    receiver.answer(None)
    worker.start()
    warning = receiver.wait_for_event(run_id, "run.warning")
    assert warning["data"]["code"] == "agent_lost"
    assert warning["data"]["promptDelivered"] is is_delivered
    assert warning["n"] == len(receiver.events(run_id))
    assert worker.state(run_id)["state"] == "lost"
    if is_delivered:
        assert is_gone(spawned(worker))
    assert code(worker, run_id, [], attempt=2, claim=2)[0] == 202
    receiver.wait_for_event(run_id, "run.finished", attempt=2)


def test_a_lost_run_is_reported_once(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run(WAITS_FOREVER)
    receiver.wait_for_event(run_id, "run.started")
    for _ in range(2):
        worker.kill()
        worker.start()
        receiver.wait_for_event(run_id, "run.warning")
        worker.wait_for_state(run_id, lambda state: bool(state["ackedN"] == 2))
    assert receiver.types(run_id) == ["run.started", "run.warning"]


def test_sigterm_ends_the_agent_and_the_next_start_tells_of_it(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run([["spawn"], ["until_stopped"]])
    receiver.wait_for_event(run_id, "test.spawned")
    assert worker.end() == 0
    assert is_gone(spawned(worker))
    assert not worker.port_file.exists()
    assert "run.finished" not in receiver.types(run_id)
    worker.start()
    assert receiver.wait_for_event(run_id, "run.warning")["data"]["code"] == "agent_lost"


def test_sigterm_delivers_what_it_still_can(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run([["wait", "go"], ["say", "test.kept", None]])
    receiver.wait_for_event(run_id, "run.started")
    receiver.answer(Answering(503, headers={"retry-after": "60"}))
    before = len(receiver.calls)
    worker.let_go_on("go")
    worker.wait_for_state(run_id, lambda state: bool(state["state"] == "finished"))
    receiver.wait_for(lambda: len(receiver.calls) > before)  # with the events, or a heartbeat before them
    receiver.answer(None)
    assert worker.end() == 0
    assert receiver.types(run_id)[-1] == "run.finished"


def test_sigint_ends_it_too(worker: Worker) -> None:
    assert worker.process is not None
    worker.process.send_signal(signal.SIGINT)
    assert worker.process.wait(10) == 0


def test_the_port_file_and_the_spool_are_for_the_owner_alone(worker: Worker) -> None:
    files = [worker.port_file, *(worker.folder / "state").iterdir()]
    assert {stat.S_IMODE(file.stat().st_mode) & 0o077 for file in files if file.name != "executor.lock"} == {0}


def test_a_second_executor_on_the_same_state_does_not_start(make_worker: Callable[..., Worker]) -> None:
    worker = make_worker("executor")
    worker.start()
    second = worker.spawn(EXECUTOR_PORT_FILE=str(worker.folder / "second.json"))
    assert second.wait(10) == 2
    assert "Another executor is using" in worker.log.read_text()


def test_an_idle_executor_ends_by_itself(make_worker: Callable[..., Worker], receiver: Receiver) -> None:
    worker = make_worker(EXECUTOR_IDLE_EXIT_SECONDS="0.5")
    worker.start()
    receiver.wait_for_event(worker.run([]), "run.finished")
    assert worker.process is not None
    assert worker.process.wait(10) == 0


def test_the_logs_name_the_run_and_never_a_secret(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run([["fail", "aloud"]])
    receiver.wait_for_event(run_id, "run.finished")
    log = worker.log.read_text()
    assert f'"runId": "{run_id}"' in log
    assert f'"executorId": "{worker.session_id}:3"' in log
    assert receiver.callback(run_id)["key"] not in log
    assert "a-token-for-tests" not in log


def test_a_run_whose_end_finds_no_place_on_the_disk_is_not_said_to_live(worker: Worker, receiver: Receiver) -> None:
    """Stood in for by a limit of the process on the size of a file: not a byte more of the spool's log."""
    run_id = worker.run([["wait", "go"], ["say", "test.large", "x" * 300_000], ["until_stopped"]])
    receiver.wait_for_event(run_id, "run.started")
    worker.wait_for_state(run_id, lambda state: bool(state["promptDelivered"]))
    assert worker.process is not None
    written = (worker.folder / "state" / "spool.sqlite3-wal").stat().st_size
    psutil.Process(worker.process.pid).rlimit(psutil.RLIMIT_FSIZE, (written, psutil.RLIM_INFINITY))
    worker.let_go_on("go")
    worker.wait_for_state(run_id, lambda state: bool(state["state"] == "refused"))
    psutil.Process(worker.process.pid).rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
    receiver.wait_for_event(worker.run([]), "run.finished")


def test_a_full_disk_fails_the_run_and_leaves_the_executor(worker: Worker, receiver: Receiver) -> None:
    """Stood in for by a limit of the process on the size of a file."""
    run_id = worker.run([["wait", "go"], ["say", "test.large", "x" * 4_000_000], ["until_stopped"]])
    receiver.wait_for_event(run_id, "run.started")
    assert worker.process is not None
    psutil.Process(worker.process.pid).rlimit(psutil.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    worker.let_go_on("go")
    worker.wait_for_state(run_id, lambda state: bool(state["state"] == "refused"))
    assert "could not write the run's events" in worker.state(run_id)["reason"]

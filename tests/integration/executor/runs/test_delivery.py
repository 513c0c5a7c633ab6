"""What an agent says reaches the control plane: all of it, in order, whatever happens on the way."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from executor.runs.open_requests import MOST_AT_ONCE, MOST_BYTES, NO_ROOM
from tests.integration.executor.conftest import Worker
from tests.integration.executor.receiver import Answering, Receiver

ZEROS = [1e308] * 1000
"""PostgreSQL writes them out in full."""


def numbers(events: list[dict[str, object]]) -> list[object]:
    return [event["n"] for event in events]


def test_a_run_is_told_from_its_start_to_its_end_in_order(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run([["say", "test.one", 1], ["say", "test.two", 2]], provider="scripted")
    finished = receiver.wait_for_event(run_id, "run.finished")
    assert receiver.types(run_id) == ["run.started", "test.one", "test.two", "run.finished"]
    assert numbers(receiver.events(run_id)) == [1, 2, 3, 4]
    assert finished["data"] == {"status": "succeeded", "stopReason": "end_turn"}
    assert receiver.unsigned == 0


def test_what_comes_after_the_end_follows_it(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run([["say_late", "test.late", 1], ["say", "test.one", 2]])
    receiver.wait_for_event(run_id, "test.late")
    assert receiver.types(run_id) == ["run.started", "test.one", "run.finished", "test.late"]
    assert numbers(receiver.events(run_id)) == [1, 2, 3, 4]
    assert worker.state(run_id)["state"] == "finished"


def test_deltas_of_one_message_are_joined_and_keep_their_place(worker: Worker, receiver: Receiver) -> None:
    texts = [f"{number} " for number in range(300)]
    run_id = worker.run(
        [["deltas", "a", texts], ["say", "test.between", None], ["deltas", "a", ["end"]], ["deltas", "b", ["other"]]]
    )
    receiver.wait_for_event(run_id, "run.finished")
    events = receiver.events(run_id)
    before = [event for event in events[: receiver.types(run_id).index("test.between")] if "text" in event["data"]]
    after = events[receiver.types(run_id).index("test.between") + 1 : -1]
    assert "".join(event["data"]["text"] for event in before) == "".join(texts)
    assert len(before) <= 2
    assert [(event["data"]["messageId"], event["data"]["text"]) for event in after] == [("a", "end"), ("b", "other")]


def test_a_joined_delta_stays_within_64_kib(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run([["deltas", "a", ["é" * 5000] * 20]])
    receiver.wait_for_event(run_id, "run.finished")
    sizes = [len(event["data"]["text"].encode()) for event in receiver.events(run_id) if "text" in event["data"]]
    assert sum(sizes) == 200_000
    assert max(sizes) <= 65536


def test_a_batch_stays_within_its_limits_and_a_large_event_goes_alone(worker: Worker, receiver: Receiver) -> None:
    large = "x" * 700_000
    run_id = worker.run([*[["say", "test.small", "y" * 100]] * 1200, ["say", "test.large", large]])
    receiver.wait_for_event(run_id, "run.finished")
    batches = [call.events for _, call in receiver.calls if call.events]
    assert max(len(batch) for batch in batches) <= 500
    assert [len(batch) for batch in batches if any(event.type == "test.large" for event in batch)] == [1]
    assert len(receiver.events(run_id)) == 1203


def test_the_prompt_waits_until_the_control_plane_has_the_start(worker: Worker, receiver: Receiver) -> None:
    receiver.answer(Answering(503))
    run_id = worker.run([["say", "test.prompted", None]])
    receiver.wait_for(lambda: len(receiver.calls) >= 3)
    assert worker.state(run_id)["promptDelivered"] is False
    assert worker.state(run_id)["lastN"] == 1
    receiver.answer(None)
    receiver.wait_for_event(run_id, "run.finished")
    assert worker.state(run_id)["promptDelivered"] is True


@pytest.mark.parametrize(
    "trouble",
    [Answering(503), Answering(401), Answering(404), Answering(200, {"not": "ours"}), Answering(0, hangs_up=True)],
    ids=["503", "401", "404", "a proxy's page", "hangs up"],
)
def test_a_run_goes_on_while_the_control_plane_is_away_and_all_comes_after(
    worker: Worker, receiver: Receiver, trouble: Answering
) -> None:
    run_id = worker.run([["say", "test.before", None], ["wait", "go"], *[["say", "test.away", i] for i in range(50)]])
    receiver.wait_for_event(run_id, "test.before")
    receiver.answer(trouble)
    worker.let_go_on("go")
    worker.wait_for_state(run_id, lambda state: bool(state["state"] == "finished"))
    assert "run.finished" not in receiver.types(run_id)
    receiver.answer(None)
    receiver.wait_for_event(run_id, "run.finished")
    assert numbers(receiver.events(run_id)) == list(range(1, 54))
    assert [event["data"]["value"] for event in receiver.events(run_id) if event["type"] == "test.away"] == [*range(50)]


def test_a_control_plane_that_hangs_is_asked_again(worker: Worker, receiver: Receiver) -> None:
    """After the callback's time limit of 10 s."""
    receiver.answer(Answering(200, hangs=True))
    run_id = worker.run([["say", "test.one", None]])
    receiver.wait_for(lambda: len(receiver.calls) == 1)
    receiver.answer(None)
    receiver.wait_for_event(run_id, "run.finished")
    assert receiver.types(run_id) == ["run.started", "test.one", "run.finished"]


def test_retry_after_is_honoured(worker: Worker, receiver: Receiver) -> None:
    receiver.answer(Answering(429, headers={"retry-after": "1"}))
    worker.run([])
    receiver.wait_for(lambda: len(receiver.calls) >= 2)
    first, second = (at for at, _ in receiver.calls[:2])
    assert 0.9 <= second - first <= 2


def test_a_gap_is_filled_from_where_the_control_plane_is(worker: Worker, receiver: Receiver) -> None:
    """The control plane had stored more than its lost answer could say."""
    run_id = worker.run([["wait", "go"], ["say", "test.a", 1], ["say", "test.b", 2], ["wait", "on"]])
    receiver.wait_for_event(run_id, "run.started")
    receiver.answer(Answering(409, {"code": "gap", "expected": 3}))
    worker.let_go_on("go")
    worker.wait_for_state(run_id, lambda state: bool(state["ackedN"] == 2))
    worker.wait_for_state(run_id, lambda state: bool(state["lastN"] == 3))
    receiver.answer(Answering(200, {"accepted": 1, "duplicates": 0, "lastSeq": 3}))
    worker.wait_for_state(run_id, lambda state: bool(state["ackedN"] == 3))


@pytest.mark.parametrize("code", ["stale_epoch", "stale_attempt"])
def test_a_run_that_another_executor_took_over_is_dropped(worker: Worker, receiver: Receiver, code: str) -> None:
    run_id = worker.run([["spawn"], ["ignore_stop"], ["wait", "go"], ["say", "test.never", None], ["until_stopped"]])
    receiver.wait_for_event(run_id, "test.spawned")
    receiver.answer(Answering(409, {"code": code}))
    worker.let_go_on("go")
    worker.wait_for_state(run_id, lambda state: bool(state["state"] == "refused"))
    assert code in worker.state(run_id)["reason"]
    receiver.answer(None)
    next_run = worker.run([])
    receiver.wait_for_event(next_run, "run.finished")
    assert "run.finished" not in receiver.types(run_id)


@pytest.mark.parametrize("answering", [Answering(409, {"code": "n_conflict"}), Answering(422), Answering(413)])
def test_events_that_are_never_taken_end_the_run_and_are_kept(
    worker: Worker, receiver: Receiver, answering: Answering
) -> None:
    run_id = worker.run([["wait", "go"], ["say", "test.refused", None], ["until_stopped"]])
    receiver.wait_for_event(run_id, "run.started")
    receiver.answer(answering)
    worker.let_go_on("go")
    worker.wait_for_state(run_id, lambda state: bool(state["state"] == "refused" and state["lastN"] == 3))
    assert str(answering.status) in worker.state(run_id)["reason"]
    assert worker.state(run_id)["ackedN"] == 1


def test_a_quiet_run_sends_heartbeats(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run([["until_stopped"]])
    receiver.wait_for_event(run_id, "run.started")
    receiver.wait_for(lambda: sum(not call.events for _, call in receiver.calls) >= 3)


def test_a_stop_that_comes_with_an_acknowledgement_stops_the_run(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run([["until_stopped"]])
    receiver.stop_requested = True
    assert receiver.wait_for_event(run_id, "run.finished")["data"]["status"] == "cancelled"


def test_text_that_postgres_cannot_hold_is_made_fit(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run(json.dumps([["say", "test.odd", {"nul": "a\0b", "half": "\ud800"}]]))
    odd = receiver.wait_for_event(run_id, "test.odd")
    assert odd["data"]["value"] == {"nul": "a\ufffdb", "half": "\ufffd"}
    receiver.wait_for_event(run_id, "run.finished")


def test_what_nobody_could_read_is_left_out_aloud(worker: Worker, receiver: Receiver) -> None:
    nested: object = "deep"
    for _ in range(150):
        nested = {"in": nested}
    left_out = [["say", "test.deep", nested], ["say", "test.zeros", ZEROS], ["say", "test.large", "x" * 8_000_000]]
    run_id = worker.run([*left_out, ["say", "test.after", None]])
    receiver.wait_for_event(run_id, "run.finished")
    assert receiver.types(run_id) == ["run.started", *["run.warning"] * 3, "test.after", "run.finished"]
    assert {each["data"]["code"] for each in receiver.events(run_id)[1:4]} == {"event_left_out"}


def test_a_request_that_nobody_could_read_is_not_waited_for(worker: Worker, receiver: Receiver) -> None:
    run_id = worker.run([["ask", str(uuid4()), {"input": ZEROS}]])
    finished = receiver.wait_for_event(run_id, "run.finished")
    assert receiver.types(run_id) == ["run.started", "run.warning", "run.finished"]
    assert finished["data"]["reason"]["code"] == "request_left_out"


@pytest.mark.parametrize(
    ("asked", "text", "open_"), [(MOST_AT_ONCE + 2, "x", MOST_AT_ONCE), (4, "x" * (MOST_BYTES // 2), 2)]
)
def test_open_requests_of_an_agent_at_the_limit_and_beyond(
    worker: Worker, receiver: Receiver, asked: int, text: str, open_: int
) -> None:
    run_id = worker.run([["ask_at_once", asked, text]])
    receiver.wait_for_event(run_id, "test.left_out")
    told = [each["data"] for each in receiver.events(run_id) if each["type"] in ("run.warning", "test.left_out")]
    assert told == [{"code": "request_left_out", "message": NO_ROOM}, {"value": [asked - open_, [NO_ROOM]]}]
    receiver.wait_for(lambda: receiver.types(run_id).count("human_loop.requested") == open_)
    assert len(worker.state(run_id)["openRequests"]) == open_


def test_callbacks_carry_the_trace(worker: Worker, receiver: Receiver) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    run_id = worker.run([], traceparent=traceparent)
    receiver.wait_for_event(run_id, "run.finished")
    headers = receiver.headers[0]
    assert headers["traceparent"] == traceparent
    assert headers["x-trace-id"] == "0af7651916cd43dd8448eb211c80319c"
    assert headers["x-trace-run-id"] == str(run_id)
    assert headers["runyard-attempt"] == "1"
    assert headers["x-trace-executor-id"] == f"{worker.session_id}:3"

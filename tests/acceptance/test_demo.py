"""The newcomer's first minute, and the promises of the log, with the demo agent and the whole of Runyard."""

from __future__ import annotations

import json
import os
import random
import signal
import threading

import httpx
import pytest

from tests.acceptance.stack import Stack
from tests.acceptance.talk import Json, Talk, end, of_type, outcome, texts, types
from tests.acceptance.test_agents import agents_of
from tests.acceptance.waiting import wait_until

pytestmark = pytest.mark.stack


def test_a_newcomer_sees_everything_without_an_account(stack: Stack, talk: Talk) -> None:
    events = talk.say("hello", answer="allow")
    assert outcome(events) == ("succeeded", None)
    assert {"message.delta", "message.stop", "tool.call", "todo.update", "usage.update"} <= set(types(events))
    assert (stack.workspace(events[0]["sessionId"]) / "notes.md").exists()


def test_two_readers_both_see_every_event_once(talk: Talk) -> None:
    started = talk.start("flood 400", options={"mode": "auto"})
    lists: list[list[Json]] = [[], []]
    readers = [threading.Thread(target=lambda i=i: lists[i].extend(talk.watch(started))) for i in range(2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(60)
    stored = talk.events(started["runId"])
    assert lists[0] == lists[1] == stored
    assert [event["seq"] for event in stored] == list(range(1, len(stored) + 1))


def test_a_reader_that_comes_back_gets_the_exact_rest(talk: Talk) -> None:
    events = talk.say("\n".join(f"write {i}.txt: {i}" for i in range(8)), options={"mode": "auto"})
    started = {"sessionId": events[0]["sessionId"], "runId": events[0]["runId"]}
    for cursor in random.Random(7).sample(range(len(events)), 20):
        assert talk.watch({**started, "seq": cursor}) == events[cursor:]


def test_sse_and_last_event_id_give_the_same_log(talk: Talk) -> None:
    started = talk.start("hello", options={"mode": "auto"})
    with talk.http.stream("GET", f"/api/runs/{started['runId']}/stream", timeout=60) as answer:
        streamed = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    assert streamed == talk.events(started["runId"])
    headers = {"Last-Event-ID": str(streamed[3]["seq"])}
    with talk.http.stream("GET", f"/api/runs/{started['runId']}/stream?cursor=1", headers=headers) as answer:
        rest = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    assert rest == streamed[4:]


def test_closing_a_stream_does_not_stop_the_run(talk: Talk) -> None:
    started = talk.start("sleep 1\nwrite a.txt: b", options={"mode": "auto"})
    with talk.following(started["sessionId"], after=0) as events:
        next(events)
    assert outcome(talk.watch(started)) == ("succeeded", None)


def test_runs_of_a_session_wait_for_each_other_and_those_of_others_do_not(talk: Talk) -> None:
    slow = talk.start("sleep 2", options={"mode": "auto"})
    behind = talk.start("hello", sessionId=slow["sessionId"], options={"mode": "auto"})
    assert behind["queuePosition"] == 1
    elsewhere = talk.watch(talk.start("write a.txt: b", options={"mode": "auto"}))
    assert end(elsewhere)["status"] == "succeeded"
    assert outcome(talk.watch(behind)) == ("succeeded", None)
    assert talk.events(slow["runId"])[-1]["seq"] < next(
        event["seq"] for event in talk.events(behind["runId"]) if event["type"] == "run.started"
    )


def test_an_interrupting_run_ends_the_one_before(talk: Talk) -> None:
    slow = talk.start("sleep 60", options={"mode": "auto"})
    talk.watch(slow, until="run.started")
    patient = talk.start("write a.txt: b", sessionId=slow["sessionId"], options={"mode": "auto"})
    urgent = talk.start("hello", sessionId=slow["sessionId"], multitask="interrupt", options={"mode": "auto"})
    assert outcome(talk.watch(urgent)) == ("succeeded", None)
    assert talk.run(slow["runId"])["status"] == "cancelled"
    assert outcome(talk.watch(patient)) == ("succeeded", None)
    ends = [seq_of(talk, run, "run.finished") for run in (slow, urgent, patient)]
    starts = [seq_of(talk, run, "run.started") for run in (urgent, patient)]
    assert sorted([*starts, *ends]) == [ends[0], starts[0], ends[1], starts[1], ends[2]]


def test_a_queued_prompt_edited_and_moved_is_what_is_done(talk: Talk) -> None:
    slow = talk.start("sleep 1", options={"mode": "auto"})
    first, second = [
        talk.start(f"say: {word}", sessionId=slow["sessionId"], options={"mode": "auto"}) for word in ("one", "two")
    ]
    changes = {"revision": 1, "prompt": "say: three", "place": {"before": first["runId"]}}
    edited = talk.http.patch(f"/api/runs/queue/{second['runId']}", json=changes)
    assert (edited.status_code, edited.json()["revision"]) == (200, 2)
    said = [texts(talk.watch(run)) for run in (second, first)]
    assert ("three" in said[0], "one" in said[1]) == (True, True)
    assert seq_of(talk, second, "run.finished") < seq_of(talk, first, "run.started")


def seq_of(talk: Talk, run: Json, type_: str) -> int:
    return next(int(event["seq"]) for event in talk.events(run["runId"]) if event["type"] == type_)


def test_a_permission_can_be_answered_by_another_client_later(stack: Stack, talk: Talk) -> None:
    started = talk.start("write a.txt: b", options={"mode": "ask"})
    talk.watch(started, until="run.waiting")
    with Talk(stack.url, stack.token) as other:
        pending = other.http.get("/api/human-loop/pending", params={"sessionId": started["sessionId"]}).json()["items"]
        assert other.reply(pending[0]["requestId"], "deny").status_code == 200
        assert other.reply(pending[0]["requestId"], "allow").status_code == 409
    events = talk.watch(started)
    assert end(events)["status"] == "succeeded"
    assert not (stack.workspace(started["sessionId"]) / "a.txt").exists()


def test_stopping_a_waiting_run_closes_its_request(talk: Talk) -> None:
    started = talk.start("write a.txt: b", options={"mode": "ask"})
    request = of_type(talk.watch(started, until="human_loop.requested"), "human_loop.requested")[0]
    talk.stop(started["runId"])
    assert end(talk.watch(started))["status"] == "cancelled"
    assert talk.reply(request["requestId"], "allow").status_code == 409


def test_an_agent_that_crashes_fails_its_own_run_and_no_other(talk: Talk) -> None:
    other = talk.start("sleep 3", options={"mode": "auto"})
    events = talk.say("crash", options={"mode": "auto"})
    assert outcome(events)[0] == "failed"
    assert end(events)["reason"]["code"] == "agent_crashed"
    assert outcome(talk.watch(other)) == ("succeeded", None)


def test_an_executor_that_is_killed_comes_back_and_its_run_goes_on(stack: Stack, talk: Talk) -> None:
    started = talk.start("write a.txt: b\nsleep 30", options={"mode": "auto"})
    talk.watch(started, until="tool.call")  # the agent has its prompt: it must never be given it again
    port_file = next((stack.data / "workers" / started["sessionId"]).rglob("*.json"))
    os.kill(json.loads(port_file.read_text())["pid"], signal.SIGKILL)
    events = talk.watch(started)
    assert "run.retrying" in types(events)
    assert of_type(events, "run.started")[-1]["resumed"] is True
    assert outcome(events) == ("succeeded", None)


def test_a_session_with_a_run_of_its_own_making_has_one_trace(stack: Stack, talk: Talk) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    body = {"prompt": "hello", "options": {"mode": "auto"}}
    started = talk.http.post("/api/runs/start", json=body, headers=headers).json()
    talk.watch(started)
    logs = [*(stack.data / "logs").glob("*.log"), *(stack.data / "workers" / started["sessionId"]).rglob("*.log")]
    components = {
        line["component"]
        for log in logs
        for text in log.read_text().splitlines()
        if text.startswith("{") and (line := json.loads(text)).get("traceId") == trace
    }
    assert {"executor"} < components


def test_secrets_are_in_no_log(stack: Stack, talk: Talk) -> None:
    talk.say("hello", options={"mode": "auto"})
    secrets = [stack.token, (stack.data / "secret").read_text().strip(), "sk-scripted-0123456789"]
    for log in [*(stack.data / "logs").glob("*.log"), *(stack.data / "workers").rglob("*.log")]:
        text = log.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text], log


def test_a_missing_token_is_a_clear_problem(stack: Stack) -> None:
    answer = httpx.post(f"{stack.url}/api/runs/start", json={"prompt": "hello"})
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


def test_no_agent_outlives_its_run(talk: Talk) -> None:
    events = talk.say("hello", options={"mode": "auto"})
    session_id = events[0]["sessionId"]
    wait_until(lambda: not agents_of(session_id), seconds=10, what="the agent is still there")
    assert texts(events)


def test_an_agent_without_its_login_says_what_to_set(talk: Talk) -> None:
    """Before anything is installed or started."""
    events = talk.say("hello", provider="unsigned")
    assert end(events)["reason"]["code"] == "login_missing"
    assert "UNSIGNED_KEY" in end(events)["reason"]["message"]


def test_a_program_that_is_not_there_is_a_clear_reason(talk: Talk) -> None:
    events = talk.say("hello", provider="absent")
    assert end(events)["reason"]["code"] == "program_missing"

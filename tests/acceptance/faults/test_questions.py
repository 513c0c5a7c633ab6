"""A question outlives the death of each part, and is answered once; whatever is looked at says the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.acceptance.faults.plane import Plane
from tests.acceptance.faults.test_executors import kill_executor
from tests.acceptance.talk import Json, Talk, end, of_type, outcome, texts, types
from tests.acceptance.test_agents import agents_of
from tests.acceptance.waiting import wait_until
from tests.model_server.starter import ModelServer
from tests.open_questions import (
    CONTENT,
    REAL,
    allow,
    allow_all,
    allow_to_write,
    applied,
    ask,
    ask_all,
    ask_to_write,
    pending,
)

pytestmark = pytest.mark.stack
RULES = "/api/human-loop/rules"


def kill_agent(_plane: Plane, session_id: str) -> None:
    agents = agents_of(session_id)
    assert agents
    for process in agents:
        process.kill()
    psutil.wait_procs(agents, timeout=10)


def kill_api(plane: Plane, _session_id: str) -> None:
    plane.api.kill()
    plane.make_well()


def kill_job_worker(plane: Plane, _session_id: str) -> None:
    """Alone: executors are its children, and outlive it."""
    plane.worker.process.kill()
    plane.worker.process.wait(10)
    plane.make_well()


@dataclass(frozen=True)
class Loss:
    """How to kill a part, and what it leaves: whether the run is parked, and in which attempt it ends."""

    kill: Callable[[Plane, str], None]
    status: str
    attempt: int


LOSSES = {
    "api": Loss(kill_api, "waiting", 1),
    "job worker": Loss(kill_job_worker, "waiting", 1),
    "executor": Loss(kill_executor, "parked", 2),
    "agent": Loss(kill_agent, "parked", 2),
}


@pytest.mark.parametrize("part", LOSSES)
def test_each_part_may_be_killed_while_a_person_is_asked(plane: Plane, talk: Talk, part: str) -> None:
    loss = LOSSES[part]
    started = ask(talk, "write a.txt: b")
    [request_id] = pending(talk, started)
    loss.kill(plane, started["sessionId"])
    plane.wait_for(started["runId"], loss.status)
    assert pending(talk, started) == [request_id]
    assert said_of(talk, started, request_id) == everywhere(loss.status, request_id)
    allow(talk, request_id)
    events = talk.watch(started)
    assert outcome(events) == ("succeeded", None)
    assert applied(events) == [(request_id, "applied")]
    assert types(events).count("human_loop.requested") == 1
    assert "run.retrying" not in types(events)
    assert talk.run(started["runId"])["attempt"] == loss.attempt
    assert (plane.workspace(started["sessionId"]) / "a.txt").read_text() == "b\n"


def said_of(talk: Talk, started: Json, request_id: str) -> dict[str, object]:
    """What each way to look at a waiting run says of it now."""

    def get(path: str) -> Json:
        found: Json = talk.http.get(path).raise_for_status().json()
        return found

    session = get(f"/api/sessions/{started['sessionId']}")
    listed = get(f"/api/runs?sessionId={started['sessionId']}")["items"]
    frame = talk.snapshot(started["sessionId"])
    [framed] = [run for run in frame["runs"] if run["runId"] == started["runId"]]
    return {
        "run": get(f"/api/runs/{started['runId']}")["status"],
        "queue": get(f"/api/runs/queue/{started['runId']}")["status"],
        "why": get(f"/api/why/runs/{started['runId']}")["state"],
        "runs": listed[0]["status"],
        "session": session["status"],
        "needs me": session["needsMe"],
        "request": get(f"/api/why/human-requests/{request_id}")["state"],
        "socket": framed["status"],
        "socket's session": frame["session"]["status"],
        "socket's requests": [request["requestId"] for request in frame["requests"]],
    }


def everywhere(status: str, request_id: str) -> dict[str, object]:
    views = ("run", "queue", "why", "runs", "session", "socket", "socket's session")
    return {**dict.fromkeys(views, status), "needs me": 1, "request": "open", "socket's requests": [request_id]}


def test_several_questions_stay_open_together_and_one_attempt_answers_all(plane: Plane, talk: Talk) -> None:
    started = ask(talk, "ask a.txt b.txt", questions=2, provider="asking", options={})
    first, second = pending(talk, started)
    kill_executor(plane, started["sessionId"])
    plane.wait_for(started["runId"], "parked")
    assert pending(talk, started) == [first, second]
    allow(talk, first)
    assert talk.run(started["runId"])["status"] == "parked", "somebody is still asked"
    allow(talk, second)
    events = talk.watch(started)
    assert outcome(events) == ("succeeded", None)
    assert applied(events) == sorted([(first, "applied"), (second, "applied")])
    assert types(events).count("human_loop.requested") == 2
    assert talk.run(started["runId"])["attempt"] == 2
    assert written(plane, started) == {"a.txt": "written\n", "b.txt": "written\n"}


def test_of_several_questions_those_that_are_answered_already_are_not_asked_anew(plane: Plane, talk: Talk) -> None:
    started = ask(talk, "ask a.txt b.txt", questions=2, provider="asking", options={})
    first, second = pending(talk, started)
    allow(talk, first)
    wait_until(lambda: len(applied(talk.events(started["runId"]))) == 1, seconds=60, what="it is not applied")
    kill_executor(plane, started["sessionId"])
    plane.wait_for(started["runId"], "parked")
    assert pending(talk, started) == [second]
    allow(talk, second)
    events = talk.watch(started)
    assert outcome(events) == ("succeeded", None)
    assert applied(events) == sorted([(first, "applied"), (second, "applied")])
    assert types(events).count("human_loop.requested") == 2
    assert written(plane, started) == {"a.txt": "written\n", "b.txt": "written\n"}


def written(plane: Plane, started: Json) -> dict[str, str]:
    return {file.name: file.read_text() for file in plane.workspace(started["sessionId"]).glob("*.txt")}


def test_a_form_is_filled_in_after_the_agent_was_killed(plane: Plane, talk: Talk) -> None:
    started = ask(talk, "ask: Which colour?")
    [request_id] = pending(talk, started)
    kill_executor(plane, started["sessionId"])
    plane.wait_for(started["runId"], "parked")
    replied = talk.reply(request_id, "answer", answers={"answer": "green"})
    assert replied.status_code == 200, replied.text
    events = talk.watch(started)
    assert "green" in texts(events)
    assert applied(events) == [(request_id, "applied")]
    assert types(events).count("human_loop.requested") == 1


def test_an_answer_that_no_job_has_delivered_when_the_executor_dies_is_used_once(plane: Plane, talk: Talk) -> None:
    started = ask(talk, "write a.txt: b")
    [request_id] = pending(talk, started)
    plane.worker.pause()
    allow(talk, request_id)
    kill_executor(plane, started["sessionId"])
    plane.worker.go_on()
    events = talk.watch(started)
    assert outcome(events) == ("succeeded", None)
    assert applied(events) == [(request_id, "applied")]
    assert types(events).count("human_loop.requested") == 1
    assert talk.run(started["runId"])["attempt"] == 2


def test_an_answer_that_the_agent_has_when_its_executor_dies_is_not_given_again(plane: Plane, talk: Talk) -> None:
    started = ask(talk, "write a.txt: b\nsleep 60")
    [request_id] = pending(talk, started)
    hold = plane.callbacks.hold(b'"type":"human_loop.applied"')
    allow(talk, request_id)
    hold.wait()
    kill_executor(plane, started["sessionId"])
    hold.drop()
    events = talk.watch(started, until="run.retrying")
    assert applied(events) == [(request_id, "applied")]
    assert of_type(events, "run.warning")[0]["taken"] == [request_id]
    assert request_id not in pending(talk, started)
    assert (plane.workspace(started["sessionId"]) / "a.txt").read_text() == "b\n"


def test_an_escalated_question_outlives_its_agent(plane: Plane, talk: Talk) -> None:
    policy = {"onExpiry": "escalate", "expirySeconds": 0.1, "escalateTo": "role:operator", "escalationSeconds": 3600}
    started = ask(talk, "write a.txt: b", humanLoop=policy)
    [request_id] = pending(talk, started)
    escalated = "SELECT escalated_at IS NOT NULL FROM human_requests WHERE id = %s"
    wait_until(lambda: plane.one(escalated, request_id) is True, seconds=60, what="it is not escalated")
    kill_executor(plane, started["sessionId"])
    plane.wait_for(started["runId"], "parked")
    assert pending(talk, started) == [request_id]
    allow(talk, request_id)
    events = talk.watch(started)
    assert outcome(events) == ("succeeded", None)
    assert applied(events) == [(request_id, "applied")]


def test_a_rule_that_changed_meanwhile_decides_what_is_asked_later_and_not_what_a_person_answered(
    plane: Plane, talk: Talk
) -> None:
    started = ask(talk, "write a.txt: b\nwrite c.txt: d")
    [request_id] = pending(talk, started)
    kill_executor(plane, started["sessionId"])
    plane.wait_for(started["runId"], "parked")
    rule = {"effect": "deny", "pathPattern": "*.txt", "userId": "me"}
    rule_id = talk.http.post(RULES, json=rule).raise_for_status().json()["ruleId"]
    try:
        assert pending(talk, started) == [request_id]
        allow(talk, request_id)
        events = talk.watch(started)
    finally:
        talk.http.delete(f"{RULES}/{rule_id}").raise_for_status()
    assert outcome(events) == ("succeeded", None)
    assert (request_id, "applied") in applied(events)
    assert written(plane, started) == {"a.txt": "b\n"}
    assert [told["by"] for told in of_type(events, "human_loop.resolved")][1:] == [f"rule:{rule_id}@1"]


def test_an_agent_that_cannot_resume_says_beforehand_that_a_restart_ends_the_run(plane: Plane, talk: Talk) -> None:
    started = ask(
        talk, "ask a.txt", provider="forgetful", options={}, humanLoop={"onExpiry": "park", "expirySeconds": 0.1}
    )
    [request_id] = pending(talk, started)
    told = {warning["code"]: warning["message"] for warning in of_type(talk.events(started["runId"]), "run.warning")}
    assert "a restart of its session worker ends it" in told["park_unsupported"], told
    assert [warning["code"] for warning in talk.run(started["runId"])["warnings"]].count("park_unsupported") == 1
    assert said_of(talk, started, request_id) == everywhere("waiting", request_id)
    kill_executor(plane, started["sessionId"])
    events = talk.watch(started)
    assert (end(events)["status"], end(events)["reason"]["code"]) == ("failed", "agent_lost")
    assert "cannot be resumed" in end(events)["reason"]["message"]
    assert pending(talk, started) == []


@pytest.mark.agents
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kill", [kill_executor, kill_agent], ids=["executor", "agent"])
@pytest.mark.parametrize("provider", REAL)
def test_a_real_agent_that_was_killed_while_it_asked_goes_on_with_the_answer(
    plane: Plane, talk: Talk, model: ModelServer, provider: str, kill: Callable[[Plane, str], None]
) -> None:
    started = ask_to_write(talk, model, provider)
    [request_id] = pending(talk, started)
    kill(plane, started["sessionId"])
    plane.wait_for(started["runId"], "parked")
    assert pending(talk, started) == [request_id]
    allow_to_write(talk, model, provider, started)
    assert talk.run(started["runId"])["attempt"] == 2
    assert made(plane, started) == CONTENT


@pytest.mark.agents
@pytest.mark.timeout(400)
def test_questions_of_all_agents_outlive_their_job_worker_and_then_its_container(
    plane: Plane, talk: Talk, model: ModelServer
) -> None:
    """A container takes executors and agents with it; a job worker that dies alone leaves them running."""
    asked = ask_all(talk, model)
    before = {provider: pending(talk, started) for provider, started in asked.items()}
    kill_job_worker(plane, "")
    for provider, started in asked.items():
        plane.wait_for(started["runId"], "waiting")
        assert pending(talk, started) == before[provider]
    plane.worker.end()
    for started in asked.values():
        kill_executor(plane, started["sessionId"])
    plane.make_well()
    for provider, started in asked.items():
        plane.wait_for(started["runId"], "parked")
        assert pending(talk, started) == before[provider]
    allow_all(talk, model, asked, lambda started: made(plane, started))
    assert [talk.run(started["runId"])["attempt"] for started in asked.values()] == [2, 2, 2, 2]


def made(plane: Plane, started: Json) -> str:
    file: Path = plane.workspace(started["sessionId"]) / "made.txt"
    return file.read_text()

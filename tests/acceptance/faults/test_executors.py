"""An executor that dies before, at, or after the delivery of a prompt: no prompt is ever delivered twice.

tests/FAULTS.md: retries; fault 9; mistakes 13, 15, 20 and 21.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.acceptance.faults.plane import Plane
from tests.acceptance.stack import free_port
from tests.acceptance.talk import Json, Talk, end, of_type, outcome, types
from tests.acceptance.waiting import wait_until
from tests.model_server.starter import ModelServer
from tests.proxy import Hold
from tests.thoroughness import FULL

pytestmark = pytest.mark.stack
AUTO = {"mode": "auto"}
REAL = ["claude-code", "codex", "opencode"]
PROVIDERS = [
    "demo",
    *(pytest.param(name, marks=pytest.mark.agents) for name in (REAL if FULL else REAL[:1])),
]
AGENTS = pytest.mark.parametrize("provider", PROVIDERS)
GO_ON = "You were interrupted"


@dataclass
class Agent:
    """How to have an agent do something that can be counted, and how often it was given which prompt."""

    provider: str
    model: ModelServer
    plane: Plane
    prompt: str = ""
    steps: list[Json] = field(default_factory=list)

    def start(self, talk: Talk, **fields: object) -> Json:
        self.model.add(*self.steps)
        return talk.start(self.prompt, provider=self.provider, options=AUTO, **fields)

    def prompts(self, session_id: str) -> list[str]:
        """Each delivery of a prompt, in order, as the agent or its model counted it."""
        if self.provider != "demo":
            return self.model.prompts()
        kept = (self.plane.workers / session_id / "agent").rglob(".runyard-demo/*.json")
        heard = [prompt for file in kept for prompt in json.loads(file.read_text())]
        return [prompt if isinstance(prompt, str) else prompt["internal"] for prompt in heard]

    def deliveries(self, session_id: str) -> int:
        """How often the person's own prompt was given."""
        return sum(self.prompt in prompt for prompt in self.prompts(session_id))


def agent_that_says(provider: str, model: ModelServer, plane: Plane) -> Agent:
    return Agent(provider, model, plane, prompt="say: a-word-of-mine", steps=[{"text": "a-word-of-mine"}])


def agent_with_a_tool_call(provider: str, model: ModelServer, plane: Plane) -> Agent:
    """Its command begins, and does not end within the test."""
    command = "echo begun >> effects; sleep 120"
    steps: list[Json] = [{"tool": "run", "command": command}, {"text": "I went on."}]
    return Agent(provider, model, plane, prompt=f"run: {command}", steps=steps)


def kill_executor(plane: Plane, session_id: str) -> None:
    process = plane.executor_of(session_id)
    assert process is not None
    process.kill()
    psutil.wait_procs([process], timeout=10)


@AGENTS
def test_killed_before_its_start_is_stored_the_run_is_retried(
    plane: Plane, talk: Talk, model: ModelServer, provider: str
) -> None:
    agent = agent_that_says(provider, model, plane)
    hold = plane.callbacks.hold(b'"type":"run.started"')
    started = agent.start(talk)
    hold.wait()
    retried_after_the_kill(plane, talk, agent, started, hold)


@AGENTS
def test_killed_before_it_knows_that_its_start_is_stored_the_run_is_retried(
    plane: Plane, talk: Talk, model: ModelServer, provider: str
) -> None:
    agent = agent_that_says(provider, model, plane)
    hold = plane.callbacks.hold(b'"accepted":', after=b'"type":"run.started"', from_server=True)
    started = agent.start(talk)
    hold.wait()
    assert talk.run(started["runId"])["status"] == "running"
    retried_after_the_kill(plane, talk, agent, started, hold)


def retried_after_the_kill(plane: Plane, talk: Talk, agent: Agent, started: Json, hold: Hold) -> None:
    """The prompt had not been handed over: a new attempt does it, once."""
    assert agent.deliveries(started["sessionId"]) == 0
    kill_executor(plane, started["sessionId"])
    hold.drop()
    events = talk.watch(started)
    assert outcome(events) == ("succeeded", None)
    assert talk.run(started["runId"])["attempt"] == 2
    assert agent.deliveries(started["sessionId"]) == 1
    assert not [prompt for prompt in agent.prompts(started["sessionId"]) if GO_ON in prompt]


@AGENTS
def test_killed_in_a_tool_call_the_run_goes_on_in_its_conversation(
    plane: Plane, talk: Talk, model: ModelServer, provider: str
) -> None:
    agent = agent_with_a_tool_call(provider, model, plane)
    started = agent.start(talk)
    effects = plane.workspace(started["sessionId"]) / "effects"
    wait_until(effects.exists, seconds=60, what="the command does not begin")
    kill_executor(plane, started["sessionId"])
    events = talk.watch(started, answer="allow")
    assert outcome(events) == ("succeeded", None)
    assert of_type(events, "run.retrying")[0]["resuming"] is True
    assert agent.deliveries(started["sessionId"]) == 1
    assert [GO_ON in prompt for prompt in agent.prompts(started["sessionId"])][-1]
    assert effects.read_text().split() == ["begun"]


@AGENTS
def test_killed_in_a_tool_call_with_no_attempt_left_the_run_fails_as_lost(
    plane: Plane, talk: Talk, model: ModelServer, provider: str
) -> None:
    agent = agent_with_a_tool_call(provider, model, plane)
    started = agent.start(talk, maxAttempts=1)
    wait_until((plane.workspace(started["sessionId"]) / "effects").exists, seconds=60, what="no command")
    kill_executor(plane, started["sessionId"])
    events = talk.watch(started)
    assert (end(events)["status"], end(events)["reason"]["code"]) == ("failed", "agent_lost")
    assert agent.deliveries(started["sessionId"]) == 1


def test_a_second_loss_after_a_delivery_never_brings_the_prompt_back(
    plane: Plane, talk: Talk, model: ModelServer
) -> None:
    agent = agent_with_a_tool_call("demo", model, plane)
    started = agent.start(talk)
    wait_until((plane.workspace(started["sessionId"]) / "effects").exists, seconds=60, what="no command")
    hold = plane.callbacks.hold(b'"accepted":', after=b'"attempt":2,"events":[{', from_server=True)
    kill_executor(plane, started["sessionId"])
    hold.wait()
    kill_executor(plane, started["sessionId"])
    hold.drop()
    events = talk.watch(started, answer="allow")
    assert outcome(events) == ("succeeded", None)
    assert talk.run(started["runId"])["attempt"] == 3
    assert agent.deliveries(started["sessionId"]) == 1


def test_an_executor_that_stood_still_beyond_its_lease_is_refused_when_it_goes_on(plane: Plane) -> None:
    port = free_port()
    callbacks = {"RUN_LEASE_SECONDS": "3"}
    plane.worker.end()
    plane.start_api(port=port, **callbacks)
    plane.worker = plane.start_worker(**callbacks, RUNYARD_CALLBACK_URL=f"http://127.0.0.1:{port}")
    with plane.talk(f"http://127.0.0.1:{port}") as talk:
        started = talk.start("say: one\nsleep 100", options=AUTO, maxAttempts=3)
        plane.wait_for(started["runId"], "running")
        zombie = plane.executor_of(started["sessionId"])
        assert zombie is not None
        zombie.suspend()
        wait_until(lambda: talk.run(started["runId"])["attempt"] == 2, seconds=90, what="it was not taken back")
        events = talk.watch(started, answer="allow")
        assert outcome(events) == ("succeeded", None)
        assert not zombie.is_running(), "the next executor of the session ended it"
    plane.worker.end()


def test_what_an_old_attempt_still_sends_is_refused(plane: Plane, talk: Talk) -> None:
    started = talk.start("say: one-of-the-old-attempt\nsleep 2", options=AUTO)
    hold = plane.callbacks.hold(b"one-of-the-old-attempt")
    hold.wait()
    kill_executor(plane, started["sessionId"])
    events = talk.watch(started, until="run.retrying")
    plane.wait_for(started["runId"], "running")
    hold.release()
    events = talk.watch(started, answer="allow")
    assert outcome(events) == ("succeeded", None)
    assert {event["attempt"] for event in events if event["author"] == "executor"} == {1, 2}


def test_the_question_of_a_dead_process_stays_and_is_answered_once(plane: Plane, talk: Talk) -> None:
    started = talk.start("write a.txt: b", options={"mode": "ask"}, maxAttempts=1)
    first = of_type(talk.watch(started, until="human_loop.requested"), "human_loop.requested")[0]["requestId"]
    kill_executor(plane, started["sessionId"])
    events = talk.watch(started, until="run.parked")
    assert of_type(events, "human_loop.resolved") == []
    assert asked(talk, started) == [first]
    assert talk.run(started["runId"])["attempt"] == 1
    assert talk.reply(first, "allow").status_code == 200
    events = talk.watch(started)
    assert outcome(events) == ("succeeded", None)
    assert [one["requestId"] for one in of_type(events, "human_loop.requested")] == [first]
    assert [(one["requestId"], one["outcome"]) for one in of_type(events, "human_loop.applied")] == [(first, "applied")]
    assert (plane.workspace(started["sessionId"]) / "a.txt").read_text().strip() == "b"
    assert asked(talk, started) == []


def asked(talk: Talk, started: Json) -> list[str]:
    pending = talk.http.get("/api/human-loop/pending", params={"sessionId": started["sessionId"]}).json()["items"]
    return [each["requestId"] for each in pending]


def test_what_ends_without_a_persons_answer_is_never_told_as_one(plane: Plane, talk: Talk) -> None:
    started = talk.start("write a.txt: b", options={"mode": "ask"}, maxAttempts=1)
    talk.watch(started, until="run.waiting")
    kill_executor(plane, started["sessionId"])
    talk.watch(started, until="run.parked")
    talk.stop(started["runId"])
    events = talk.watch(started)
    [resolved] = of_type(events, "human_loop.resolved")
    assert (resolved["decision"], resolved["by"]) == ("cancel", "system")
    assert end(events)["status"] == "cancelled"
    assert "human_loop.applied" not in types(events)


def test_a_chat_whose_agent_died_is_told_so_and_goes_on(plane: Plane, talk: Talk) -> None:
    started = talk.start("run: echo $PPID > agent; sleep 100", options=AUTO)
    reader = plane.follow(started["sessionId"])
    file = plane.workspace(started["sessionId"]) / "agent"
    wait_until(lambda: bool(text_of(file)), seconds=60, what="no command")
    psutil.Process(int(text_of(file))).kill()
    wait_until(lambda: reader.has("run.finished"), seconds=60, what="nobody told the reader")
    assert end(talk.events(started["runId"]))["reason"]["code"] == "agent_crashed"
    assert outcome(talk.say("say: again", sessionId=started["sessionId"], options=AUTO)) == ("succeeded", None)


def text_of(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""

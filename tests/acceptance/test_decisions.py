"""Every decision of a person, on each of the three real agents that has it; and the refusal where it has not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.acceptance.stack import Stack
from tests.acceptance.talk import Json, Talk, end, of_type, outcome, texts
from tests.model_server.starter import ModelServer
from tests.probe.checks import MAKES_ONE

AGENTS = ["claude-code", "codex", "opencode"]
WITH_QUESTIONS = ["claude-code", "codex"]
pytestmark = [pytest.mark.agents, pytest.mark.stack]

TOUCH: Json = {"tool": "run", "command": "touch made.txt", "escalate": True}
ASK: Json = {"tool": "ask", "question": "Which colour?", "options": ["Red", "Blue"]}


def asked(talk: Talk, provider: str, prompt: str = "Do it") -> tuple[Json, Json]:
    """A run that waits for a person, and what it waits for."""
    started = talk.start(prompt, provider=provider, options={"mode": "ask"})
    return started, talk.watch(started, until="human_loop.requested")[-1]["data"]


def refusal(talk: Talk, request: Json, decision: str, **fields: Any) -> tuple[int, str]:
    answer = talk.reply(request["requestId"], decision, **fields)
    return answer.status_code, answer.json().get("capability") or answer.json()["code"]


@pytest.mark.parametrize("provider", AGENTS)
def test_what_is_always_allowed_is_asked_once(stack: Stack, model: ModelServer, talk: Talk, provider: str) -> None:
    model.add(MAKES_ONE, MAKES_ONE, {"text": "Twice."})
    started = talk.start("Do it twice", provider=provider, options={"mode": "ask"})
    talk.watch(started, answer="allow_always", until="human_loop.resolved")
    events = talk.watch(started)
    assert outcome(events) == ("succeeded", None)
    assert {one["decision"] for one in of_type(events, "human_loop.resolved")} == {"allow_always"}
    assert len(list(stack.workspace(events[0]["sessionId"]).glob("made.*"))) == 2


@pytest.mark.parametrize("provider", AGENTS)
def test_a_denial_and_its_reason_are_heard_and_what_cannot_be_told_is_refused(
    stack: Stack, model: ModelServer, talk: Talk, provider: str
) -> None:
    model.add(TOUCH, {"text": "Then not.", "repeat": True})
    started, request = asked(talk, provider)
    assert refusal(talk, request, "allow", arguments={"command": "true"}) == (409, "arguments")
    unseen = (422, "decision_does_not_fit") if provider in WITH_QUESTIONS else (409, "questions")
    assert refusal(talk, request, "answer", answers={"colour": "blue"}) == unseen
    assert talk.reply(request["requestId"], "deny", reason="the blue folder is frozen").status_code == 200
    events = talk.watch(started)
    assert outcome(events) == ("succeeded", None)
    assert texts(events).endswith("Then not.")
    assert "the blue folder is frozen" in json.dumps(model.requests()[-1]["body"])
    assert of_type(events, "human_loop.resolved")[0]["reason"] == "the blue folder is frozen"
    assert not (stack.workspace(started["sessionId"]) / "made.txt").exists()
    assert refusal(talk, request, "allow") == (409, "already_answered")


@pytest.mark.parametrize("provider", AGENTS)
def test_a_cancelling_answer_ends_the_turn(stack: Stack, model: ModelServer, talk: Talk, provider: str) -> None:
    model.add(TOUCH, {"text": "I must not say this."})
    started, request = asked(talk, provider)
    assert talk.reply(request["requestId"], "cancel").status_code == 200
    events = talk.watch(started)
    assert end(events)["status"] == "cancelled"
    assert "I must not say this." not in texts(events)
    assert not (stack.workspace(started["sessionId"]) / "made.txt").exists()


@pytest.mark.parametrize("provider", WITH_QUESTIONS)
def test_the_answer_to_a_question_reaches_the_agent(model: ModelServer, talk: Talk, provider: str) -> None:
    model.add(ASK, {"text": "Thanks."})
    started, request = asked(talk, provider, "Ask me")
    field = next(iter(request["schema"]["properties"]))
    assert refusal(talk, request, "allow") == (422, "decision_does_not_fit")
    assert talk.reply(request["requestId"], "answer", answers={field: "Blue"}).status_code == 200
    events = talk.watch(started)
    assert outcome(events) == ("succeeded", None)
    assert of_type(events, "human_loop.resolved")[0]["answers"] == {field: "Blue"}
    assert json.dumps(model.requests()[-1]["body"]).count("Blue") > json.dumps(ASK).count("Blue")

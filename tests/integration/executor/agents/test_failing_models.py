"""Three real agents whose model fails for good: their turns fail with the reason, and silence is told and bounded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from executor.agents.provider import Provider, Variable
from tests.integration.executor.agents.turns import SessionFolders, Took
from tests.model_server.starter import Json, ModelServer

pytestmark = [pytest.mark.agents, pytest.mark.timeout(180)]

HALF = "Half of a sentence that"
WAYS: dict[str, Json] = {
    "429": {"status": 429, "message": "slow down please"},
    "500": {"status": 500, "message": "the kettle broke"},
    "400": {"status": 400, "message": "bad tea"},
    "malformed": {"malformed": True},
    "cut": {"text": HALF, "cut": True},
    "cut late": {"text": HALF, "cut": "late"},
}
OWN_WORDS = {
    ("codex", "429"): "its server answered 429 Too Many Requests, and Codex keeps none of the server's words",
    ("codex", "500"): "its server answered 500 Internal Server Error, and Codex keeps none of the server's words",
    ("codex", "malformed"): "stream disconnected",
    ("codex", "cut"): "stream disconnected",
    ("codex", "cut late"): "stream disconnected",
    ("claude-code", "malformed"): "JSON",
    ("claude-code", "cut"): "Connection",
    ("claude-code", "cut late"): "Connection lost",
    ("opencode", "malformed"): "JSON parsing failed",
    ("opencode", "cut"): "broke off its answer 10 times in a row",
    ("opencode", "cut late"): "broke off its answer 10 times in a row",
}
"""What an agent makes of its model's words; else the words themselves arrive."""


def impatient(agent: Provider) -> Provider:
    return replace(agent, environment=(*agent.environment, Variable(name="CLAUDE_CODE_MAX_RETRIES", value="1")))


def reason(took: Took) -> str:
    return took.finished.reason.message if took.finished.reason else ""


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_fails_for_good_fails_the_turn_with_its_words(
    agent: Provider, model: ModelServer, folders: SessionFolders, way: str
) -> None:
    step = WAYS[way]
    model.add({**step, "repeat": True})

    took = folders.take(impatient(agent), "Hello", mode="auto", timeout_seconds=100)

    assert (took.finished.status, took.code) == ("failed", "agent_error"), took.finished
    assert OWN_WORDS.get((agent.name, way), str(step.get("message"))) in reason(took)
    half = [stop["stopReason"] for stop in took.of("message.stop")]
    assert half.count("given_up") >= (1 if "cut" in way else 0)
    assert took.finished.usage is None or not (took.finished.usage.cost and took.finished.usage.cost.amount == 0)
    assert took.leftovers == []


def test_a_wrong_key_says_the_servers_words(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"status": 401, "message": "invalid api key: this one is no good", "repeat": True})

    took = folders.take(impatient(agent), "Hello", mode="auto", timeout_seconds=100)

    assert (took.finished.status, took.code) == ("failed", "login_missing"), took.finished
    assert "this one is no good" in reason(took)


def test_a_model_that_hangs_is_told_once_and_ends_at_the_limit(
    agent: Provider, model: ModelServer, folders: SessionFolders
) -> None:
    model.add({"hang": True, "repeat": True})

    took = folders.take(agent, "Hello", mode="auto", silent_seconds=5, silence_told_seconds=1, timeout_seconds=100)

    assert (took.finished.status, took.code) == ("failed", "agent_error"), took.finished
    assert "said nothing for 5 seconds" in reason(took)
    assert [warning["code"] for warning in took.of("run.warning")].count("agent_silent") == 1
    assert took.leftovers == []


def test_a_running_tool_call_is_no_silence(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    seconds = 20 if agent.name == "opencode" else 10  # its first request takes long on a busy machine
    model.add({"tool": "run", "command": f"sleep {seconds + 2}"}, {"text": "Slept well"})

    took = folders.take(agent, "Sleep", mode="auto", silent_seconds=seconds, timeout_seconds=100)

    assert took.finished.status == "succeeded", took.finished


def test_a_half_message_before_a_retry_is_marked_as_given_up(
    agent: Provider, model: ModelServer, folders: SessionFolders
) -> None:
    model.add({"text": HALF, "cut": True}, {"text": "Whole again"})

    took = folders.take(agent, "Hello", mode="auto", timeout_seconds=100)

    assert took.finished.status == "succeeded", took.finished
    given_up = [stop["messageId"] for stop in took.of("message.stop") if stop["stopReason"] == "given_up"]
    texts = {id_: "".join(d["text"] for d in took.of("message.delta") if d["messageId"] == id_) for id_ in given_up}
    assert list(texts.values()) == [HALF]


def test_a_prompt_with_a_slash_reaches_the_model(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"text": "I read it"})

    took = folders.take(agent, "/etc/hosts is a file: what is in it?", mode="auto", timeout_seconds=100)

    assert took.text().endswith("I read it")
    assert any("/etc/hosts is a file: what is in it?" in prompt for prompt in model.prompts())
    assert "agent_command" not in [warning["code"] for warning in took.of("run.warning")]


def test_an_agents_own_command_is_told_by_its_name(
    agent: Provider, model: ModelServer, folders: SessionFolders
) -> None:
    model.add({"text": "Done"})
    command = {"codex": "status", "claude-code": "context", "opencode": "init"}[agent.name]

    took = folders.take(agent, f"/{command}", mode="auto", timeout_seconds=100)

    told = [warning["message"] for warning in took.of("run.warning") if warning["code"] == "agent_command"]
    assert told == [f"The agent takes this prompt for its own command /{command}."]
    assert took.finished.status == "succeeded", took.finished

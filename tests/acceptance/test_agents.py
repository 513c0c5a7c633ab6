"""The three real agents, each through the whole of Runyard: what a person sees, and what lies in the workspace."""

from __future__ import annotations

import psutil
import pytest

from tests.acceptance.stack import Stack
from tests.acceptance.talk import Json, Talk, end, of_type, outcome, texts, types
from tests.acceptance.waiting import wait_until
from tests.model_server.starter import ModelServer

AGENTS = ["claude-code", "codex", "opencode"]
pytestmark = [pytest.mark.agents, pytest.mark.stack, pytest.mark.parametrize("provider", AGENTS)]

WRITE = {"tool": "write", "path": "made.txt", "content": "by the agent\n"}


def test_a_prompt_is_answered_in_order_and_with_what_it_used(model: ModelServer, talk: Talk, provider: str) -> None:
    model.add({"text": "Hello from the model.", "usage": {"input": 120, "output": 7}})
    events = talk.say("Say hello", provider=provider, options={"mode": "auto"})
    assert outcome(events) == ("succeeded", None)
    assert texts(events).endswith("Hello from the model.")  # Codex warns before of a model that it does not know
    assert types(events)[0] == "run.queued"
    assert types(events)[-1] == "run.finished"
    assert [event["seq"] for event in events] == sorted({event["seq"] for event in events})
    assert end(events)["usage"]["outputTokens"] >= 7
    assert end(events)["usage"]["cost"]["source"] in {"reported", "priced", "unavailable"}
    assert len(model.prompts()) == 1
    assert model.prompts()[0].endswith("Say hello")  # Claude Code puts reminders of its own before it


def test_a_tool_call_writes_a_file_into_the_workspace(
    stack: Stack, model: ModelServer, talk: Talk, provider: str
) -> None:
    model.add(WRITE, {"text": "Written."})
    events = talk.say("Write the file", provider=provider, options={"mode": "auto"})
    assert outcome(events) == ("succeeded", None)
    assert (stack.workspace(events[0]["sessionId"]) / "made.txt").read_text() == "by the agent\n"
    calls = of_type(events, "tool.call") + of_type(events, "tool.update")
    assert any(call.get("status") == "completed" for call in calls)


def test_a_permission_that_is_allowed_lets_the_agent_go_on(
    stack: Stack, model: ModelServer, talk: Talk, provider: str
) -> None:
    model.add(_needs_permission(provider), {"text": "Done."})
    events = talk.say("Write the file", provider=provider, options={"mode": "ask"}, answer="allow")
    assert outcome(events) == ("succeeded", None)
    assert (stack.workspace(events[0]["sessionId"]) / "made.txt").exists()
    assert of_type(events, "human_loop.resolved")[0]["decision"] == "allow"
    assert of_type(events, "human_loop.applied")[0]["outcome"] == "applied"
    order = types(events)
    assert order.index("human_loop.requested") < order.index("run.waiting") < order.index("human_loop.resolved")


def test_a_permission_that_is_denied_keeps_the_file_away_and_the_turn_goes_on(
    stack: Stack, model: ModelServer, talk: Talk, provider: str
) -> None:
    model.add(_needs_permission(provider), {"text": "Then I leave it."})
    events = talk.say("Write the file", provider=provider, options={"mode": "ask"}, answer="deny")
    assert outcome(events) == ("succeeded", None)
    assert "Then I leave it." in texts(events)
    assert not (stack.workspace(events[0]["sessionId"]) / "made.txt").exists()
    assert of_type(events, "human_loop.resolved")[0]["decision"] == "deny"


def test_what_was_allowed_for_the_session_is_decided_as_before_in_its_next_run(
    stack: Stack, model: ModelServer, talk: Talk, provider: str
) -> None:
    """Claude Code offers a lasting answer for edits only. What Codex keeps of one in its home is set aside."""
    command = {"tool": "run", "command": "touch made.txt", "escalate": True}
    call = WRITE if provider == "claude-code" else command
    options = {"mode": "ask"}
    model.add(call, {"text": "Done."})
    first = talk.say("Make it", answer="allow_always", provider=provider, options=options)
    session_id = first[0]["sessionId"]
    (stack.workspace(session_id) / "made.txt").unlink()
    model.add(call, {"text": "Done again."})

    second = talk.say("Make it again", provider=provider, options=options, sessionId=session_id)

    assert (outcome(first), outcome(second)) == (("succeeded", None), ("succeeded", None))
    assert (stack.workspace(session_id) / "made.txt").exists()
    [granted] = of_type(first, "human_loop.resolved")
    again = [(resolved["decision"], resolved["by"]) for resolved in of_type(second, "human_loop.resolved")]
    assert again == [("allow_always", granted["by"])]


def test_todos_are_told(model: ModelServer, talk: Talk, provider: str) -> None:
    model.add(*_plans(provider), {"text": "Planned."})
    events = talk.say("Plan it", provider=provider, options={"mode": "auto"})
    told = of_type(events, "todo.update")[-1]
    assert [(item["content"], item["status"]) for item in told["items"]] == [
        ("Look around", "in_progress"),
        ("Tidy up", "pending"),
    ]


def test_a_stop_ends_the_run_and_leaves_no_process(model: ModelServer, talk: Talk, provider: str) -> None:
    model.add({"hang": True})
    started = talk.start("Wait for ever", provider=provider, options={"mode": "auto"})
    wait_until(lambda: bool(model.prompts()), seconds=60, what="the model was never asked")
    assert talk.stop(started["runId"]).status_code == 202
    events = talk.watch(started)
    assert end(events)["status"] == "cancelled"
    _wait_without_agents(started["sessionId"])


def test_an_agent_that_is_killed_fails_its_run_with_a_reason(model: ModelServer, talk: Talk, provider: str) -> None:
    model.add({"hang": True})
    started = talk.start("Wait for ever", provider=provider, options={"mode": "auto"})
    wait_until(lambda: bool(model.prompts()), seconds=60, what="the model was never asked")
    for process in agents_of(started["sessionId"]):
        process.kill()
    events = talk.watch(started)
    assert (end(events)["status"], end(events)["reason"]["code"]) == ("failed", "agent_crashed")
    model.reset()
    model.add({"text": "Here again."})
    again = talk.say("And now?", provider=provider, sessionId=started["sessionId"], options={"mode": "auto"})
    assert outcome(again) == ("succeeded", None)


def test_the_next_run_of_a_session_remembers(model: ModelServer, talk: Talk, provider: str) -> None:
    model.add({"text": "I will remember the plum."})
    first = talk.say("Remember the word plum", provider=provider, options={"mode": "auto"})
    model.add({"text": "It was plum."})
    second = talk.say(
        "Which word was it?", provider=provider, sessionId=first[0]["sessionId"], options={"mode": "auto"}
    )
    assert outcome(second) == ("succeeded", None)
    assert of_type(second, "run.started")[0]["resumed"] is True
    assert "Remember the word plum" in str(model.requests()[-1]["body"])
    assert texts(second).endswith("It was plum.")


def test_an_unknown_model_is_a_clear_reason(model: ModelServer, talk: Talk, provider: str) -> None:
    events = talk.say("Hello", provider=provider, options={"mode": "auto", "model": "no-such-model"})
    assert (end(events)["status"], end(events)["reason"]["code"]) == ("failed", "unknown_model")
    assert model.prompts() == []


def _plans(provider: str) -> list[Json]:
    """Claude Code makes a plan task by task, with tools that it has to look up first."""
    items = [{"content": "Look around", "status": "in_progress"}, {"content": "Tidy up", "status": "pending"}]
    if provider != "claude-code":
        return [{"tool": "todos", "items": items}]
    look_up = {"tool": "native", "name": "ToolSearch", "input": {"query": "select:TaskCreate,TaskUpdate"}}
    begin = {"tool": "native", "name": "TaskUpdate", "input": {"taskId": "1", "status": "in_progress"}}
    return [look_up, *({"tool": "todos", "items": [item]} for item in items), begin]


def _needs_permission(provider: str) -> Json:
    """Codex writes inside its sandbox without asking; a command that leaves it is asked for."""
    if provider == "codex":
        return {"tool": "run", "command": "echo by the agent > made.txt", "escalate": True}
    return WRITE


def agents_of(session_id: str) -> list[psutil.Process]:
    """The processes of a session's agent, found by the mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RUNYARD_SESSION_ID") == session_id:
                found.append(process)
        except psutil.Error:
            continue
    return found


def _wait_without_agents(session_id: str) -> None:
    wait_until(lambda: not agents_of(session_id), seconds=20, what=lambda: f"left: {agents_of(session_id)}")

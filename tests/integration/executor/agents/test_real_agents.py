"""The three real agents against a scripted model: each fact holds for all of them."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import pytest

from executor.agents.provider import Price, PriceTable, Provider, Variable
from executor.process.leftovers import marked_processes
from tests.integration.executor.agents.turns import SessionFolders, answering
from tests.model_server.starter import Json, ModelServer

pytestmark = [pytest.mark.agents, pytest.mark.timeout(120)]

TODOS = [{"content": "Look around", "status": "in_progress"}, {"content": "Tidy up", "status": "pending"}]


def write(folders: SessionFolders, name: str) -> Json:
    return {"tool": "write", "path": str(folders.workspace / name), "content": "as scripted\n"}


def test_the_answer_streams_and_ends_the_run(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"thought": "Let me see.", "text": "Good morning to you"})

    took = folders.take(agent, "Greet me", mode="auto")

    assert took.finished.status == "succeeded", took.finished
    assert took.finished.stop_reason == "end_turn"
    assert took.text().endswith("Good morning to you")
    assert took.text("thought") == "Let me see."
    assert took.types()[0] == "run.started"
    assert took.types().count("message.stop") == len({one["messageId"] for one in took.of("message.delta")})
    assert len([one for one in model.prompts() if "Greet me" in one]) == 1
    assert took.leftovers == []


def test_usage_is_counted(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"text": "Counted", "usage": {"input": 70, "output": 7, "cached_read": 30}})

    took = folders.take(agent, "Count", mode="auto")

    usage = took.finished.to_json()["usage"]
    assert (usage["inputTokens"], usage["outputTokens"], usage["cachedReadTokens"]) == (70, 7, 30)
    assert usage["contextSize"] > usage["contextUsed"] > 0
    assert usage["cost"]["source"] == ("unavailable" if agent.name == "codex" else "reported")
    assert took.of("usage.update")


def test_auto_writes_a_file_without_asking(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add(write(folders, "made.txt"), {"tool": "run", "command": "echo ran > ran.txt"}, {"text": "Done"})

    took = folders.take(agent, "Make a file", mode="auto")

    assert (folders.workspace / "made.txt").read_text() == "as scripted\n"
    assert (folders.workspace / "ran.txt").read_text() == "ran\n"
    assert took.of("human_loop.requested") == []
    kinds = {one["kind"] for one in took.of("tool.call")}
    assert kinds == {"edit", "execute"}
    ended = {one["toolCallId"] for one in took.of("tool.update") if one.get("status") == "completed"}
    assert ended == {one["toolCallId"] for one in took.of("tool.call")}


def test_an_allowed_write_is_done(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add(write(folders, "asked.txt"), {"text": "Written"})

    took = folders.take(agent, "Ask me first", mode="ask", decide=answering("allow"))

    [request] = took.of("human_loop.requested")
    [applied] = took.of("human_loop.applied")
    assert request["kind"] == "permission"
    assert "asked.txt" in json.dumps(request["toolCall"])
    assert (applied["requestId"], applied["outcome"]) == (request["requestId"], "applied")
    assert (folders.workspace / "asked.txt").exists()
    assert took.finished.status == "succeeded"


def test_after_a_denial_the_turn_goes_on(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add(write(folders, "denied.txt"), {"text": "Then I leave it"})

    took = folders.take(agent, "Ask me first", mode="ask", decide=answering("deny"))

    assert took.text().endswith("Then I leave it")
    assert took.finished.status == "succeeded"
    assert not (folders.workspace / "denied.txt").exists()
    assert [one["outcome"] for one in took.of("human_loop.applied")] == ["applied"]
    statuses = [one["status"] for one in took.of("tool.update") if "status" in one]
    assert statuses[-1] == "failed"


def test_the_reason_of_a_denial_reaches_the_model(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add(write(folders, "denied.txt"), {"text": "Why not?", "repeat": True})

    folders.take(agent, "Ask me first", mode="ask", decide=answering("deny", reason="the blue folder is frozen"))

    assert any("the blue folder is frozen" in prompt for prompt in model.prompts())


def test_cancelling_ends_the_turn(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add(write(folders, "never.txt"), {"text": "I must not say this"})

    took = folders.take(agent, "Ask me first", mode="ask", decide=answering("cancel"))

    assert (took.finished.status, took.code) == ("cancelled", "cancelled_by_answer")
    assert "I must not say this" not in took.text()
    assert not (folders.workspace / "never.txt").exists()


def test_todos_are_shown(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    done = [{**one, "status": "completed"} for one in TODOS]
    if agent.name == "claude-code":
        load: Json = {"tool": "native", "name": "ToolSearch", "input": {"query": "select:TaskCreate,TaskUpdate"}}
        tasks = [{"tool": "todos", "items": [one]} for one in TODOS]
        begin: Json = {"tool": "native", "name": "TaskUpdate", "input": {"taskId": "1", "status": "in_progress"}}
        model.add(load, *tasks, begin, {"text": "Planned"})
    else:
        model.add({"tool": "todos", "items": TODOS}, {"tool": "todos", "items": done}, {"text": "Planned"})

    took = folders.take(agent, "Plan", mode="auto")

    groups = took.of("todo.update")
    shown = [[(item["content"], item["status"]) for item in group["items"]] for group in groups]
    assert [("Look around", "in_progress"), ("Tidy up", "pending")] in shown
    ids = [[item["id"] for item in group["items"]] for group in groups if len(group["items"]) == len(TODOS)]
    assert all(one == ids[0] for one in ids)
    assert {group["groupId"] for group in groups} == {agent.name}


ENDLESS: Json = {"tool": "run", "command": "touch started && tail -f /dev/null"}


def test_a_stop_ends_the_agent_and_its_command(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add(ENDLESS, {"text": "I must not say this"})

    took = folders.take(agent, "Run it", mode="auto", stop_once=(folders.workspace / "started").exists)

    assert (took.finished.status, took.code) == ("cancelled", "stopped")
    assert "I must not say this" not in took.text()
    assert took.leftovers == []


def test_a_stop_gives_up_an_open_request(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add(write(folders, "never.txt"), {"text": "I must not say this"})

    took = folders.take(
        agent,
        "Ask",
        mode="ask",
        decide=lambda _: None,
        stop_when=lambda type_, _: type_ == "human_loop.requested",
    )

    assert (took.finished.status, took.code) == ("cancelled", "stopped")
    assert took.of("human_loop.applied") == []
    assert not (folders.workspace / "never.txt").exists()
    assert took.leftovers == []


def kill_agents(folders: SessionFolders) -> None:
    """Every process of the place's agent that leads a process group: the agent itself."""
    for process in marked_processes(folders.session_id):
        if os.getpgid(process.pid) == process.pid:
            process.send_signal(signal.SIGKILL)


def test_a_killed_agent_fails_its_run(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add(ENDLESS, {"text": "I must not say this"})

    took = folders.take(
        agent, "Run it", mode="auto", once=((folders.workspace / "started").exists, lambda: kill_agents(folders))
    )

    assert (took.finished.status, took.code) == ("failed", "agent_crashed"), took.events
    assert took.leftovers == []


def test_a_new_process_remembers_the_conversation(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"text": "I keep that in mind"}, {"text": "It was the zebra"})
    first = folders.take(agent, "Remember the word zebra", mode="auto")

    second = folders.take(agent, "Which word?", mode="ask", resume=first.started["agentSessionId"])

    assert second.started["resumed"] is True
    assert second.text().endswith("It was the zebra")
    assert "I keep that in mind" not in second.text()
    sent = json.dumps(model.requests()[-1]["body"])
    assert "Remember the word zebra" in sent
    assert "I keep that in mind" in sent


def test_the_second_runs_cost_is_its_own(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"text": "Dear", "usage": {"input": 10_000}}, {"text": "Cheap", "usage": {"input": 10}})
    first = folders.take(agent, "One", mode="auto")

    second = folders.take(agent, "Two", mode="auto", resume=first.started["agentSessionId"])

    costs = [took.finished.to_json()["usage"]["cost"] for took in (first, second)]
    if agent.name == "codex":
        assert costs == [{"source": "unavailable"}] * 2
    else:
        assert 0 < costs[1]["amount"] < costs[0]["amount"] / 10


def test_an_unknown_conversation_begins_anew_and_says_so(
    agent: Provider, model: ModelServer, folders: SessionFolders
) -> None:
    model.add({"text": "Hello"})
    unknown = "ses_000000000000000000000000000" if agent.name == "opencode" else "3e663e37-2be0-4868-acb4-afe6be18d70c"

    took = folders.take(agent, "Go on", mode="auto", resume=unknown)

    assert took.finished.status == "succeeded"
    assert took.started["resumed"] is False
    assert [one["code"] for one in took.of("run.warning") if one["code"] != "agent_notice"] == ["resume_unavailable"]
    assert any("Go on" in prompt for prompt in model.prompts())


def test_an_interrupted_run_is_told_to_go_on(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"text": "Half of it"}, {"text": "And the rest"})
    first = folders.take(agent, "Do the zebra task", mode="auto")

    folders.take(agent, "Do the zebra task", mode="auto", resume=first.started["agentSessionId"], continuing=True)

    assert len([one for one in model.prompts() if "Do the zebra task" in one]) == 1
    assert "You were interrupted" in model.prompts()[-1]


def test_a_refused_key_is_a_missing_login(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"status": 401, "message": "invalid api key", "repeat": True})

    impatient = Variable(name="CLAUDE_CODE_MAX_RETRIES", value="1")

    took = folders.take(replace(agent, environment=(*agent.environment, impatient)), "Hello", mode="auto")

    assert (took.finished.status, took.code) == ("failed", "login_missing"), took.finished


def test_no_key_at_all_is_a_missing_login(agent: Provider, folders: SessionFolders) -> None:
    took = folders.take(replace(agent, environment=()), "Hello", mode="auto")

    assert (took.finished.status, took.code) == ("failed", "login_missing")
    assert agent.login[0] in (took.finished.reason.message if took.finished.reason else "")


def test_an_unknown_model_is_named(agent: Provider, folders: SessionFolders) -> None:
    took = folders.take(agent, "Hello", mode="auto", model="no/such-model")

    assert (took.finished.status, took.code) == ("failed", "unknown_model")
    assert took.finished.reason
    assert "no/such-model" in took.finished.reason.message
    assert "run.started" not in took.types()


def test_a_price_table_prices_what_has_no_reported_cost(
    agent: Provider, model: ModelServer, folders: SessionFolders
) -> None:
    model.add({"text": "Priced", "usage": {"input": 1000, "output": 100, "cached_read": 10}})
    price = Price(input=1.0, output=10.0, cached_read=0.1, cached_write=1.0)
    names = ("scripted", "scripted[medium]", "scripted[none]", "default")
    prices = PriceTable(version="2026-11", currency="USD", models=dict.fromkeys(names, price))

    took = folders.take(replace(agent, prices=prices), "Hello", mode="auto")

    cost = took.finished.to_json()["usage"]["cost"]
    if agent.name == "codex":
        assert cost == {"amount": 0.002001, "currency": "USD", "source": "priced", "priceVersion": "2026-11"}
    else:
        assert cost["source"] == "reported"

"""What a run's options change in the real programs: each mapping that providers.toml declares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from executor.agents.provider import Provider
from tests.integration.executor.agents.turns import SessionFolders, answering, scripted_agent
from tests.model_server.starter import Json, ModelServer

pytestmark = [pytest.mark.agents, pytest.mark.timeout(120)]


@pytest.fixture
def claude(model: ModelServer, tmp_path: Path) -> Provider:
    return scripted_agent("claude-code", model, tmp_path)


@pytest.fixture
def codex(model: ModelServer, tmp_path: Path) -> Provider:
    return scripted_agent("codex", model, tmp_path)


@pytest.fixture
def opencode(model: ModelServer, tmp_path: Path) -> Provider:
    return scripted_agent("opencode", model, tmp_path)


def write(folders: SessionFolders, name: str) -> Json:
    return {"tool": "write", "path": str(folders.workspace / name), "content": "as scripted\n"}


def offered(model: ModelServer) -> set[str]:
    tools = model.requests()[0]["body"]["tools"]
    return {tool.get("name") or tool["function"]["name"] for tool in tools}


def test_the_folder_is_the_agents(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    (folders.workspace / "inner").mkdir(parents=True)
    model.add({"tool": "run", "command": "pwd > here.txt"}, {"text": "Done"})

    folders.take(agent, "Where are you?", mode="auto", cwd="inner")

    assert (folders.workspace / "inner/here.txt").read_text().strip() == str(folders.workspace / "inner")


def test_the_mode_is_set_again_after_a_resume(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add(write(folders, "one.txt"), {"text": "One"}, write(folders, "two.txt"), {"text": "Two"})
    first = folders.take(agent, "One", mode="auto")

    second = folders.take(agent, "Two", mode="ask", resume=first.started["agentSessionId"])

    assert first.of("human_loop.requested") == []
    assert len(second.of("human_loop.requested")) == 1
    assert (folders.workspace / "two.txt").exists()


def test_claude_codes_model_is_the_one_asked_for(claude: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"text": "Hi"})

    folders.take(claude, "Hello", model="sonnet")

    assert "sonnet" in model.requests()[0]["body"]["model"]


def test_opencodes_model_is_the_one_asked_for(opencode: Provider, model: ModelServer, folders: SessionFolders) -> None:
    more = {"provider": {"scripted": {"models": {"other": {"name": "Other"}}}}}
    model.add({"text": "Hi"})

    folders.take(opencode, "Hello", model="scripted/other", providerOptions=more)

    assert model.requests()[0]["body"]["model"] == "other"


def test_codexs_model_is_the_one_asked_for(codex: Provider, model: ModelServer, folders: SessionFolders) -> None:
    took = folders.take(codex, "Hello", model="gpt-6-luna")

    assert took.started
    assert model.state()["requests"][0]["body"]["model"] == "gpt-6-luna"


def test_claude_code_is_denied_a_tool(claude: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"text": "Hi"})

    folders.take(claude, "Hello", tools={"deny": ["Write"]})

    assert "Bash" in offered(model)
    assert "Write" not in offered(model)


def test_claude_code_is_allowed_a_tool(claude: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"tool": "run", "command": "touch allowed.txt"}, {"text": "Hi"})

    took = folders.take(claude, "Hello", mode="ask", tools={"allow": ["Bash"]})

    assert took.of("human_loop.requested") == []
    assert (folders.workspace / "allowed.txt").exists()


def test_claude_code_takes_options_of_its_own(claude: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"tool": "run", "command": "touch a", "repeat": True})

    took = folders.take(claude, "Hello", mode="auto", providerOptions={"maxTurns": 2})

    assert "maximum number of turns (2)" in (took.finished.reason.message if took.finished.reason else "")
    assert len(model.requests()) == 2


def test_opencode_is_denied_a_tool(opencode: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"text": "Hi"})

    folders.take(opencode, "Hello", tools={"deny": ["webfetch"]})

    assert "bash" in offered(model)
    assert "webfetch" not in offered(model)


def test_opencode_is_allowed_a_tool(opencode: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"tool": "run", "command": "touch allowed.txt"}, {"text": "Hi"})

    took = folders.take(opencode, "Hello", mode="ask", tools={"allow": ["bash"]})

    assert took.of("human_loop.requested") == []
    assert (folders.workspace / "allowed.txt").exists()


def test_codexs_sandbox_lets_it_write_in_the_workspace_alone(
    codex: Provider, model: ModelServer, folders: SessionFolders, tmp_path: Path
) -> None:
    outside = Path.home() / f"{tmp_path.name}-outside.txt"
    model.add(
        write(folders, "inside.txt"), {"tool": "run", "command": f"touch {outside}", "escalate": True}, {"text": "Hi"}
    )

    took = folders.take(codex, "Hello", sandbox="workspace-write", decide=answering("deny"))

    assert (folders.workspace / "inside.txt").exists()
    assert [one["title"] for one in took.of("human_loop.requested")] == [f"touch {outside}"]
    assert not outside.exists()


def test_codex_takes_settings_of_its_own(codex: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"text": "Hi"})

    folders.take(codex, "Hello", providerOptions={"developer_instructions": "Always mention the zebra."})

    assert "Always mention the zebra." in json.dumps(model.requests()[0]["body"])


def test_claude_codes_questions_are_answered(claude: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"tool": "ask", "question": "Which colour?", "options": ["Red", "Blue"]}, {"text": "Thanks"})

    took = folders.take(claude, "Ask me", decide=answering("answer", answers={"question_0": "Blue"}))

    [request] = took.of("human_loop.requested")
    assert (request["kind"], request["title"]) == ("question", "Which colour?")
    assert "question_0" in request["schema"]["properties"]
    assert took.of("human_loop.applied")[0]["told"] == "accept"
    assert "Blue" in json.dumps(model.requests()[-1]["body"]["messages"][-1])

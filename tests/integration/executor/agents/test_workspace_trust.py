"""Nothing in a workspace or left in the home starts a program, or keeps a person from being asked."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from executor.agents.provider import Provider, Variable
from tests.integration.executor.agents.hostile import MISLEADS, Hostile, refuses_hostile_files
from tests.integration.executor.agents.turns import SessionFolders, scripted_agent
from tests.model_server.starter import Json, ModelServer

pytestmark = [pytest.mark.agents, pytest.mark.timeout(120)]

MCP_SERVER = Path(__file__).with_name("mcp_server.py")


@pytest.fixture
def hostile(folders: SessionFolders, tmp_path: Path) -> Hostile:
    return Hostile(folders.workspace, folders.folder / "home", tmp_path / "canary")


def test_hostile_files_start_nothing_and_everything_is_asked(
    agent: Provider, model: ModelServer, folders: SessionFolders, hostile: Hostile
) -> None:
    took = refuses_hostile_files(agent, model, folders, hostile)

    assert hostile.marks() == []
    assert not (folders.workspace / "made.txt").exists()
    assert MISLEADS not in json.dumps([request["body"] for request in model.requests()])
    assert len([one for one in took.of("human_loop.requested") if "git " not in one["title"]]) == 2
    [warning] = [one for one in took.of("run.warning") if one["code"] == "workspace_ignored"]
    assert "git's core.fsmonitor" in warning["message"]
    assert "~/.bashrc" in warning["message"]
    assert {"claude-code": ".mcp.json", "codex": ".codex/config.toml", "opencode": "opencode.json"}[
        agent.name
    ] in warning["message"]


@pytest.mark.parametrize("name", ["claude-code", "codex"])
def test_an_app_may_trust_its_workspaces(
    name: str, model: ModelServer, folders: SessionFolders, hostile: Hostile, tmp_path: Path
) -> None:
    took = refuses_hostile_files(scripted_agent(name, model, tmp_path), model, folders, hostile, trustWorkspace=True)

    assert "project-mcp" in hostile.marks()
    assert [one for one in took.of("run.warning") if one["code"] == "workspace_ignored"] == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".opencode/plugin/spy.js", "export const P = async () => ({})"),
        ("opencode.json", '{"plugin": ["./spy.js"]}'),
        (".opencode/opencode.jsonc", '{"\\u0070lugin": ["./spy.js"]}'),
    ],
)
def test_a_plugin_that_opencode_cannot_ignore_blocks_the_run(
    path: str, text: str, model: ModelServer, folders: SessionFolders, tmp_path: Path
) -> None:
    file = folders.workspace / path
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")

    took = folders.take(scripted_agent("opencode", model, tmp_path), "Hello", mode="ask")

    assert (took.finished.status, took.code) == ("blocked", "workspace_untrusted")
    assert took.finished.reason is not None
    assert path in took.finished.reason.message
    assert "trustWorkspace" in took.finished.reason.message
    assert model.requests() == []


def test_a_rule_guards_mode_auto_too(
    model: ModelServer, folders: SessionFolders, hostile: Hostile, tmp_path: Path
) -> None:
    model.add({"text": "Done"})
    hostile.plant("claude-code")

    took = folders.take(scripted_agent("claude-code", model, tmp_path), "Hello", mode="auto", must_ask=True)

    assert took.finished.status == "succeeded"
    assert hostile.marks() == []


def test_an_apps_servers_and_instructions_reach_the_agent(
    agent: Provider, model: ModelServer, folders: SessionFolders, tmp_path: Path
) -> None:
    mark = tmp_path / "started.json"
    secret = Variable(name="key", value="a-secret-of-the-app", secret=True)
    server: Json = {
        "command": sys.executable,
        "args": ["-I", str(MCP_SERVER), str(mark)],
        "env": {"PLAIN": "as it stands", "KEY": {"secret": "key"}},
    }
    (folders.workspace).mkdir(parents=True)
    (folders.workspace / "AGENTS.md").write_text("The project's word is heron.", encoding="utf-8")
    model.add({"text": "Hi"})

    took = folders.take(
        replace(agent, app_secrets={"key": secret}),
        "Hello",
        mode="ask",
        mcpServers={"helper": server},
        instructions="Always mention the zebra.",
    )

    assert took.finished.status == "succeeded", took.finished
    assert json.loads(mark.read_text(encoding="utf-8")) == {"PLAIN": "as it stands", "KEY": "a-secret-of-the-app"}
    sent = json.dumps([request["body"] for request in model.requests()])
    assert "Always mention the zebra." in sent
    assert "heron" in sent or "AGENTS.md" in sent
    assert "a-secret-of-the-app" not in json.dumps([data.to_json() for _, data in took.events])


def test_a_secret_without_a_value_fails_the_run(model: ModelServer, folders: SessionFolders, tmp_path: Path) -> None:
    server: Json = {"url": "http://127.0.0.1:1/mcp", "headers": {"Authorization": {"secret": "absent"}}}

    took = folders.take(scripted_agent("codex", model, tmp_path), "Hello", mcpServers={"helper": server})

    assert took.code == "secret_missing"
    assert took.finished.reason is not None
    assert "'absent'" in took.finished.reason.message

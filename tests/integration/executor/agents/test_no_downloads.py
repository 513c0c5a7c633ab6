"""An agent fetches nothing at run time, in a new home neither: no package, language server or list of models."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from executor.agents.provider import Provider
from tests.integration.executor.agents.turns import AGENTS_DIR, SessionFolders, Took, scripted_agent
from tests.model_server.starter import Json, ModelServer

pytestmark = [pytest.mark.agents, pytest.mark.timeout(180)]


@dataclass(frozen=True)
class Proxy:
    """A proxy that notes each request line and closes, as a network that is cut off."""

    url: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    asked: list[str] = []

    class Note(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().decode("latin-1").strip())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Note) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Proxy(f"http://127.0.0.1:{server.server_address[1]}", asked)
        server.shutdown()


def cut_off(agent: Provider, proxy: Proxy, **changes: str) -> Provider:
    """The agent behind the proxy."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    behind = {**agent.host_environment, **dict.fromkeys(names, proxy.url), "NO_PROXY": "127.0.0.1"}
    return replace(agent, host_environment={**behind, **changes})


def programs(folder: Path, **more: Path) -> str:
    """A folder for PATH with a shell and these programs alone."""
    folder.mkdir()
    for name, program in {"sh": Path("/bin/sh"), "env": Path("/usr/bin/env"), **more}.items():
        (folder / name).symlink_to(program)
    return str(folder)


def test_a_new_home_starts_without_a_network(
    agent: Provider, model: ModelServer, folders: SessionFolders, proxy: Proxy
) -> None:
    model.add({"text": "Hello from an empty home"})

    took = folders.take(cut_off(agent, proxy), "Hello", mode="auto", timeout_seconds=100)

    assert took.text().endswith("Hello from an empty home")
    assert sorted(set(proxy.asked)) == []
    installed = [path for path in (folders.folder / "home").rglob("package.json") if path.parent.name != "opencode"]
    assert installed == []


GREP: Json = {"tool": "native", "name": "grep", "input": {"pattern": "needle"}}


def greps(model: ModelServer, folders: SessionFolders, opencode: Provider) -> Took:
    """A turn of OpenCode that greps for a line of a file in the workspace."""
    folders.workspace.mkdir(parents=True)
    (folders.workspace / "hay.txt").write_text("a needle in it\n")
    model.add(GREP, {"text": "Looked"})
    return folders.take(opencode, "Look for the needle", mode="auto", timeout_seconds=100)


def test_opencode_greps_with_the_ripgrep_of_its_machine(
    model: ModelServer, tmp_path: Path, folders: SessionFolders, proxy: Proxy
) -> None:
    [ripgrep] = AGENTS_DIR.glob("codex-*/node_modules/@openai/codex-linux-*/vendor/*/codex-path/rg")
    path = programs(tmp_path / "bin", rg=ripgrep)

    took = greps(model, folders, cut_off(scripted_agent("opencode", model, tmp_path), proxy, PATH=path))

    assert "hay.txt" in str(took.of("tool.update")[-1]["output"])
    assert (took.finished.status, proxy.asked) == ("succeeded", [])


def test_without_ripgrep_and_network_opencodes_grep_fails_and_its_turn_goes_on(
    model: ModelServer, tmp_path: Path, folders: SessionFolders, proxy: Proxy
) -> None:
    path = programs(tmp_path / "bin")

    took = greps(model, folders, cut_off(scripted_agent("opencode", model, tmp_path), proxy, PATH=path))

    assert took.of("tool.update")[-1]["status"] == "failed"
    assert (took.finished.status, took.text()) == ("succeeded", "Looked")
    assert {line.split()[1] for line in proxy.asked} == {"github.com:443"}

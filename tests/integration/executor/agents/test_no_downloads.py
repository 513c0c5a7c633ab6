"""An agent fetches nothing at run time, in a new home neither: no package, language server or list of models."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from executor.agents.provider import Provider
from tests.integration.executor.agents.turns import SessionFolders
from tests.model_server.starter import ModelServer

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


def test_a_new_home_starts_without_a_network(
    agent: Provider, model: ModelServer, folders: SessionFolders, proxy: Proxy
) -> None:
    model.add({"text": "Hello from an empty home"})
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    cut_off = {**agent.host_environment, **dict.fromkeys(names, proxy.url), "NO_PROXY": "127.0.0.1"}

    took = folders.take(replace(agent, host_environment=cut_off), "Hello", mode="auto", timeout_seconds=100)

    assert took.text().endswith("Hello from an empty home")
    assert sorted(set(proxy.asked)) == []
    installed = [path for path in (folders.folder / "home").rglob("package.json") if path.parent.name != "opencode"]
    assert installed == []

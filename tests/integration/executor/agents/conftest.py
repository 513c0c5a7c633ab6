"""A scripted model and the shipped providers turned to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.agents.provider import Provider
from executor.agents.registry import load_registry
from tests.integration.executor.agents.turns import AGENTS_DIR, ROOT, SessionFolders, scripted_agent
from tests.model_server.starter import ModelServer, model_server


@pytest.fixture(scope="module")
def running_model() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest.fixture
def model(running_model: ModelServer) -> ModelServer:
    running_model.reset()
    return running_model


@pytest.fixture(params=["claude-code", "codex", "opencode"])
def agent(request: pytest.FixtureRequest, model: ModelServer, tmp_path: Path) -> Provider:
    """Each of the three real agents, against the scripted model."""
    return scripted_agent(str(request.param), model, tmp_path)


@pytest.fixture
def demo() -> Provider:
    provider = load_registry(ROOT / "providers.toml", agents_dir=AGENTS_DIR, environment=os.environ).find("demo")
    assert provider
    return provider


@pytest.fixture
def folders(tmp_path: Path) -> SessionFolders:
    return SessionFolders(tmp_path / "session")

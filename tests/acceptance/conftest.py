"""A whole Runyard as `make up` starts it, once per test process, with a scripted model for the real agents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.stack import Stack, running_stack
from tests.acceptance.talk import Talk
from tests.model_server.starter import ModelServer, model_server

FURTHER = """
[providers.absent]
command = "no-such-program-anywhere"
[providers.unsigned]
command = "{python}"
login = ["UNSIGNED_KEY"]

[providers.plain]
command = "{python}"
args = ["-P", "{runyard}/tests/acceptance/plain_agent.py"]
[providers.boastful]
title = "Boastful agent"
command = "{python}"
args = ["-P", "{runyard}/tests/acceptance/plain_agent.py"]
capabilities = { resume = true }

[providers.choosy]
title = "Agent with models"
command = "{python}"
args = ["-P", "-m", "executor.agents.demo"]
options = ["model", "mode"]
models = [{ id = "demo-small", title = "Small" }, { id = "demo-large", title = "Large" }]
environment = { PYTHONPATH = { value = "{runyard}" } }
"""
"""Programs that are missing or not signed in, one that can do very little, by two entries, and one with two models."""


@pytest.fixture(scope="session")
def scripted_model() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest.fixture(scope="session")
def stack(scripted_model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with running_stack(folder, model_url=scripted_model.url, extra_providers=FURTHER) as running:
        yield running


@pytest.fixture
def model(scripted_model: ModelServer) -> ModelServer:
    """The model with an empty script, having heard nothing."""
    scripted_model.reset()
    return scripted_model


@pytest.fixture
def talk(stack: Stack) -> Iterator[Talk]:
    """A client of the public API; runs that a test left live are stopped after it."""
    with Talk(stack.url, stack.token) as talking:
        yield talking
        talking.stop_what_lives()

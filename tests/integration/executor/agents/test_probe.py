"""A fresh probe finds what the shipped one says; the rest of what it tries stands in test_real_agents.py."""

from __future__ import annotations

import pytest

from executor.agents.declared import declare
from executor.agents.provider import Provider
from tests.model_server.starter import ModelServer
from tests.probe.checks import holds

pytestmark = [pytest.mark.agents, pytest.mark.timeout(120)]


@pytest.mark.parametrize("check", ["allowAlways", "questions"])
def test_what_was_proved_holds(agent: Provider, model: ModelServer, check: str) -> None:
    proved = declare(agent).proved

    assert proved is not None
    assert holds(check, agent, model) == proved.capabilities[check]

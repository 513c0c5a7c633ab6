"""A question that nobody could be asked fails alone: the agent hears why, and its run goes on."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from acp import RequestError
from acp.schema import ElicitationFormSessionMode

from executor.agents.acp_client import AcpClient
from executor.agents.pending_requests import PendingRequests
from executor.agents.text import NOTHING_HIDDEN
from executor.agents.turn import Listener
from schema.events import HumanRequested
from schema.executor_api import Answer
from schema.forms import MOST_CHOICES, MOST_FORM_BYTES
from tests.unit.executor.agents.test_translate import FOLDERS, Told


class Asked:
    """A listener that keeps the questions; nobody answers them."""

    def __init__(self) -> None:
        self.requests: list[HumanRequested] = []

    async def ask(self, request: HumanRequested) -> Answer | None:
        self.requests.append(request)
        return None


def ask(told: Told, asked: Asked, *, choices: int = 1, title: str = "t") -> None:
    field = {"type": "string", "title": title, "enum": [f"v{i}" for i in range(choices)]}
    mode = ElicitationFormSessionMode.model_validate(
        {"mode": "form", "sessionId": "s", "requestedSchema": {"type": "object", "properties": {"a": field}}}
    )

    async def elicit() -> None:
        requests = PendingRequests(cast(Listener, asked), grace_seconds=0)
        client = AcpClient(told.translation, requests, FOLDERS, NOTHING_HIDDEN)
        await client.create_elicitation("Which?", mode)

    asyncio.run(elicit())


def test_a_form_within_the_limits_is_asked() -> None:
    told, asked = Told(), Asked()
    ask(told, asked, choices=MOST_CHOICES)
    assert [request.title for request in asked.requests] == ["Which?"]
    assert told.of("run.warning") == []


@pytest.mark.parametrize(
    ("choices", "title", "fault"),
    [
        (MOST_CHOICES + 1, "t", f"A form offers at most {MOST_CHOICES} choices."),
        (1, "t" * MOST_FORM_BYTES, f"A form has at most {MOST_FORM_BYTES} bytes as JSON."),
    ],
)
def test_a_form_beyond_a_limit_is_not_asked_and_the_agent_hears_why(choices: int, title: str, fault: str) -> None:
    told, asked = Told(), Asked()
    with pytest.raises(RequestError) as refused:
        ask(told, asked, choices=choices, title=title)
    assert refused.value.data == {"details": fault}
    assert asked.requests == []
    assert told.of("run.warning") == [
        {"code": "question_left_out", "message": f"A question of the agent was not asked. {fault}"}
    ]

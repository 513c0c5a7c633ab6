"""An agent whose turn is cancelled hears of the cancel first, and of its open request when it has ended its turn."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from executor.agents import pending_requests
from executor.agents.provider import Provider
from tests.integration.executor.agents.turns import AGENTS_DIR, Decide, SessionFolders, Took, answering
from tests.model_server.starter import ModelServer

pytestmark = pytest.mark.timeout(300)
LONG = 1200.0
"""Seconds that an answer is held back, where the agent must end its turn without it: longer than a test may last."""


def other_agent(way: str) -> Provider:
    script = Path(__file__).parent / "cancelled.py"
    return Provider(
        name="other", title="Other", command=sys.executable, args=("-P", str(script), way), agents_dir=AGENTS_DIR
    )


def nobody_answers(_: object) -> None:
    return None


def take(provider: Provider, folders: SessionFolders, prompt: str, decide: Decide, **options: Any) -> Took:
    """Cancel the turn at its first request: by an answer, or by a stop where nobody answers."""

    def is_asked(type_: str, _: object) -> bool:
        return decide is nobody_answers and type_ == "human_loop.requested"

    return folders.take(provider, prompt, decide=decide, stop_when=is_asked, grace_seconds=2 * LONG, **options)


ENDS = pytest.mark.parametrize(
    "decide, code", [(answering("cancel"), "cancelled_by_answer"), (nobody_answers, "stopped")], ids=["answer", "stop"]
)


@ENDS
def test_an_agent_does_not_hear_of_its_request_before_it_has_cancelled_its_turn(
    decide: Decide, code: str, folders: SessionFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_requests, "HOLD_SECONDS", LONG)

    took = take(other_agent("is_slow_to_cancel"), folders, "Ask me", decide)

    assert (took.finished.status, took.code, took.text()) == ("cancelled", code, "session/cancel")


@ENDS
def test_an_agent_that_waits_for_the_answer_gets_it(
    decide: Decide, code: str, folders: SessionFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_requests, "HOLD_SECONDS", 0.1)

    took = take(other_agent("waits_for_the_answer"), folders, "Ask me", decide)

    assert (took.finished.status, took.code) == ("cancelled", code)
    assert took.text() == "session/cancel and then cancelled"


@pytest.mark.parametrize("prompt", ["write never.txt: x", "ask: Which colour?"])
@ENDS
def test_the_demo_agent_ends_its_turn_without_the_answer(
    decide: Decide, code: str, prompt: str, demo: Provider, folders: SessionFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_requests, "HOLD_SECONDS", LONG)

    took = take(demo, folders, prompt, decide, mode="ask")

    assert (took.finished.status, took.code) == ("cancelled", code)
    assert not (folders.workspace / "never.txt").exists()


@pytest.mark.agents
@ENDS
def test_a_real_agent_ends_its_turn_without_the_answer(
    decide: Decide,
    code: str,
    agent: Provider,
    model: ModelServer,
    folders: SessionFolders,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pending_requests, "HOLD_SECONDS", LONG)
    model.add({"tool": "run", "command": "touch never.txt", "escalate": True}, {"text": "I must not say this"})

    took = take(agent, folders, "Ask me first", decide, mode="ask")

    assert (took.finished.status, took.code) == ("cancelled", code)
    assert "I must not say this" not in took.text()
    assert not (folders.workspace / "never.txt").exists()
    assert took.leftovers == []

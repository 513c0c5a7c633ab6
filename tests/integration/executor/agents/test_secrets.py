"""No event of a turn holds a secret value that the executor knows, in whatever spelling the agent says it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from executor.agents.provider import Provider, Variable
from tests.integration.executor.agents.turns import SessionFolders, Took, answering

KEY = "sk-live-0123456789/abcdef+xyz"


@pytest.fixture
def with_key(demo: Provider) -> Provider:
    """The demo agent, with a secret in its environment."""
    return replace(demo, environment=(*demo.environment, Variable(name="MODEL_KEY", value=KEY, secret=True)))


def everything(took: Took) -> str:
    return json.dumps([data.to_json() for _, data in took.events] + [took.finished.to_json()])


def test_what_an_agent_says_of_its_key_is_hidden(with_key: Provider, folders: SessionFolders) -> None:
    took = folders.take(with_key, f"say: the key is {KEY}, I think", mode="auto")

    assert "the key is [secret], I think" in took.text()
    assert KEY not in everything(took)


@pytest.mark.parametrize(
    "command",
    [
        "printf '%s' \"$MODEL_KEY\"",
        "printf 'user:%s' \"$MODEL_KEY\" | base64",
        "printf 'a line before it makes it longer than one line of base64: %s' \"$MODEL_KEY\" | base64",
    ],
)
def test_outputs_of_commands_hide_it(with_key: Provider, folders: SessionFolders, command: str) -> None:
    took = folders.take(with_key, f"run: {command}", mode="auto")

    outputs = "".join(str(update.get("output", "")) for update in took.of("tool.update"))
    compact = everything(took).replace("\\n", "")
    assert "[secret]" in outputs
    assert KEY not in compact
    assert not [1 for at in range(3) if base64.b64encode(bytes(at) + KEY.encode())[4:-4].decode() in compact]


def test_a_question_about_it_hides_it(with_key: Provider, folders: SessionFolders) -> None:
    took = folders.take(with_key, f"write key.txt: {KEY}", decide=answering("allow"))

    assert (folders.workspace / "key.txt").read_text() == f"{KEY}\n"
    assert took.of("human_loop.requested")
    assert KEY not in everything(took)


def test_secrets_that_other_agents_were_given_are_hidden_too(demo: Provider, folders: SessionFolders) -> None:
    took = folders.take(demo, f"say: {KEY}", mode="auto", secrets=frozenset([KEY]))

    assert KEY not in everything(took)
    assert "[secret]" in took.text()

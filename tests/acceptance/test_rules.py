"""A rule answers the real agents, by what they themselves say of their calls, and nobody is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.stack import Stack
from tests.acceptance.talk import Json, Talk, end, of_type, outcome, types
from tests.model_server.starter import ModelServer

AGENTS = ["claude-code", "codex", "opencode"]
RULES = "/api/human-loop/rules"
AddRule = Callable[..., str]
NOTE = "Drafts are written by people."


@pytest.fixture
def add_rule(talk: Talk) -> Iterator[AddRule]:
    """Adds a rule, which goes with the test; its id."""
    added: list[str] = []

    def add(**rule: object) -> str:
        answer = talk.http.post(RULES, json={**rule, "userId": "me"})
        assert answer.status_code == 201, answer.text
        added.append(answer.json()["ruleId"])
        return added[-1]

    yield add
    for rule_id in added:
        talk.http.delete(f"{RULES}/{rule_id}").raise_for_status()


def step(provider: str, folder: str) -> Json:
    """Codex writes inside its sandbox without asking; a command that leaves it is asked for."""
    if provider == "codex":
        return {"tool": "run", "command": command(folder), "escalate": True}
    return {"tool": "write", "path": f"{folder}/made.txt", "content": "by the agent\n"}


def command(folder: str) -> str:
    return f"install -D /dev/null {folder}/made.txt"


def pattern(provider: str, folder: str) -> Json:
    return {"commandPattern": f"install * {folder}/*"} if provider == "codex" else {"pathPattern": f"{folder}/**"}


@pytest.mark.agents
@pytest.mark.stack
@pytest.mark.parametrize("provider", AGENTS)
def test_a_rule_allows_without_anybody_being_asked(
    stack: Stack, model: ModelServer, talk: Talk, add_rule: AddRule, provider: str
) -> None:
    rule_id = add_rule(effect="allow", **pattern(provider, "reports"))
    model.add(step(provider, "reports"), {"text": "Done."})
    events = talk.say("Write it", provider=provider, options={"mode": "ask"})
    assert outcome(events) == ("succeeded", None)
    assert [each["by"] for each in of_type(events, "human_loop.resolved")] == [f"rule:{rule_id}@1"]
    assert of_type(events, "human_loop.applied")[0]["outcome"] == "applied"
    assert "run.waiting" not in types(events)
    assert (stack.workspace(events[0]["sessionId"]) / "reports" / "made.txt").exists()


@pytest.mark.agents
@pytest.mark.stack
@pytest.mark.parametrize("provider", AGENTS)
def test_a_rule_denies_and_the_turn_goes_on(
    stack: Stack, model: ModelServer, talk: Talk, add_rule: AddRule, provider: str
) -> None:
    rule_id = add_rule(effect="deny", note=NOTE, **pattern(provider, "drafts"))
    model.add(step(provider, "drafts"), {"text": "Then I leave it."}, {"text": "I see."})
    events = talk.say("Write it", provider=provider, options={"mode": "ask"})
    assert end(events)["status"] == "succeeded"
    [resolved] = of_type(events, "human_loop.resolved")
    assert (resolved["by"], resolved["decision"], resolved["reason"]) == (f"rule:{rule_id}@1", "deny", NOTE)
    assert NOTE in str(model.requests()[-1]["body"])
    assert not (stack.workspace(events[0]["sessionId"]) / "drafts").exists()


@pytest.mark.stack
def test_a_rule_speaks_for_the_demo_agent_too(stack: Stack, talk: Talk, add_rule: AddRule) -> None:
    add_rule(effect="allow", pathPattern="notes/*.md", toolKind="edit")
    add_rule(effect="deny", pathPattern="notes/secret.md")
    events = talk.say("write notes/a.md: a\nwrite notes/secret.md: b", provider="demo", options={"mode": "ask"})
    assert [each["decision"] for each in of_type(events, "human_loop.resolved")] == ["allow", "deny"]
    assert [file.name for file in (stack.workspace(events[0]["sessionId"]) / "notes").iterdir()] == ["a.md"]

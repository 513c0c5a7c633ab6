"""What a run of a real agent spent is the sum of its model requests, or absent; it is never 0 with work done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from executor.agents.provider import Counts, Provider
from tests.integration.executor.agents.turns import SessionFolders
from tests.model_server.starter import Json, ModelServer

pytestmark = [pytest.mark.agents, pytest.mark.timeout(180)]

TOKENS = ("inputTokens", "outputTokens", "cachedReadTokens")
RUNS: Json = {"tool": "run", "command": "echo hi", "usage": {"input": 1000, "output": 50, "cached_read": 1}}
ENDS: Json = {"text": "Done", "usage": {"input": 2000, "output": 70, "cached_read": 2}}
CHEAP: Json = {"text": "Cheap", "usage": {"input": 10, "output": 5, "cached_read": 3}}


def tokens_of(usage: Any) -> list[int | None]:
    return [usage.get(name) for name in TOKENS]


def test_a_run_with_several_requests_has_the_sum_of_their_tokens(
    agent: Provider, model: ModelServer, folders: SessionFolders
) -> None:
    model.add(RUNS, ENDS, CHEAP)

    first = folders.take(agent, "Run it", mode="auto", timeout_seconds=100)
    second = folders.take(agent, "Again", mode="auto", timeout_seconds=100, resume=first.started["agentSessionId"])

    assert [tokens_of(took.finished.to_json()["usage"]) for took in (first, second)] == [[3000, 120, 3], [10, 5, 3]]


def test_a_stopped_model_leaves_no_zeros(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add({"text": "Half of it", "stall": True})

    took = folders.take(
        agent, "Talk", mode="auto", timeout_seconds=100, stop_when=lambda type_, _: type_ == "message.delta"
    )

    usage = took.finished.to_json()["usage"]
    assert took.code == "stopped"
    assert all(usage.get(name, 1) for name in TOKENS[:2]), usage
    assert usage["cost"].get("amount") != 0


def test_a_cost_after_a_stopped_run_is_the_runs_own(
    agent: Provider, model: ModelServer, folders: SessionFolders
) -> None:
    """The stopped process of Claude Code wrote no total, so the next one goes on from an older total."""
    model.add(CHEAP, {"text": "Half of it", "stall": True}, CHEAP)
    first = folders.take(agent, "One", mode="auto", timeout_seconds=100)
    resume = first.started["agentSessionId"]
    folders.take(agent, "Two", mode="auto", resume=resume, stop_when=lambda type_, _: type_ == "message.delta")

    third = folders.take(agent, "Three", mode="auto", timeout_seconds=100, resume=resume)

    first_cost, third_cost = (took.finished.to_json()["usage"]["cost"] for took in (first, third))
    if agent.name == "codex":
        assert (first_cost, third_cost) == ({"source": "unavailable"}, {"source": "unavailable"})
    else:
        assert third_cost["amount"] == pytest.approx(first_cost["amount"], rel=0.05)


def test_no_title_is_asked_of_the_model(agent: Provider, model: ModelServer, folders: SessionFolders) -> None:
    model.add(RUNS, CHEAP)

    folders.take(agent, "Name me after my prompt", mode="auto", timeout_seconds=100)

    assert [request["side"] for request in model.state()["requests"]] == [False, False]


def test_without_its_entry_only_the_first_run_has_numbers(
    agent: Provider, model: ModelServer, folders: SessionFolders
) -> None:
    model.add(CHEAP, CHEAP)
    unknown = replace(agent, counts=Counts())

    first = folders.take(unknown, "One", mode="auto", timeout_seconds=100)
    second = folders.take(unknown, "Two", mode="auto", timeout_seconds=100, resume=first.started["agentSessionId"])

    usages = [took.finished.to_json()["usage"] for took in (first, second)]
    assert [tokens_of(usage)[0] for usage in usages] == [10, None]
    assert usages[1]["cost"] == {"source": "unavailable"}

"""What providers can do, and what becomes of a run that asks for more: with an agent that can do nothing but answer."""

from __future__ import annotations

import pytest

from tests.acceptance.talk import Json, Talk, end, of_type, outcome, texts

pytestmark = pytest.mark.stack


def capabilities(talk: Talk, name: str) -> Json:
    items = talk.http.get("/api/providers").raise_for_status().json()["items"]
    found: Json = next(one["capabilities"] for one in items if one["name"] == name)
    return found


def test_a_run_that_needs_a_person_is_blocked_and_told_what_to_do(talk: Talk) -> None:
    events = talk.say("Write", provider="plain", options={"requireHumanLoop": True})
    assert (end(events)["status"], end(events)["reason"]["code"]) == ("blocked", "capability_missing")
    assert "leave out requireHumanLoop" in end(events)["reason"]["message"]
    assert of_type(events, "run.started") == []


def test_without_resume_each_run_is_a_new_conversation_and_says_so(talk: Talk) -> None:
    first = talk.say("Remember the plum", provider="plain")
    started = talk.start("What was it?", provider="plain", sessionId=first[0]["sessionId"])
    second = talk.watch(started)
    assert [warning["code"] for warning in started["warnings"]] == ["resume_unsupported"]
    assert "resume_unsupported" in [warning["code"] for warning in of_type(second, "run.warning")]
    assert of_type(second, "run.started")[0]["resumed"] is False
    assert (outcome(second), texts(second)) == (("succeeded", None), "I remember 1 prompt(s).")


def test_an_agent_is_believed_when_it_denies_what_is_declared_of_it(talk: Talk) -> None:
    first = talk.start("Hello", provider="boastful")
    assert first["warnings"] == []
    talk.watch(first)
    told = capabilities(talk, "boastful")
    assert (told["declared"], told["said"], told["effective"]) == (
        {"resume": True},
        {"resume": False},
        {"resume": False},
    )
    second = talk.start("Again", provider="boastful", sessionId=first["sessionId"])
    assert [warning["code"] for warning in second["warnings"]] == ["resume_unsupported"]
    assert of_type(talk.watch(second), "run.started")[0]["resumed"] is False


@pytest.mark.agents
@pytest.mark.parametrize("provider", ["claude-code", "codex", "opencode"])
def test_a_probed_version_is_the_one_that_runs(talk: Talk, provider: str) -> None:
    items = talk.http.get("/api/providers").raise_for_status().json()["items"]
    told = next(one for one in items if one["name"] == provider)
    assert told["capabilities"]["probedVersion"] == told["version"]
    assert told["capabilities"]["probedAt"]
    assert told["capabilities"]["effective"] == told["capabilities"]["declared"]

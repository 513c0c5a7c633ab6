"""Nobody is there: the run is parked, its worker saved, stopped and removed, all of Runyard started anew; then somebody
answers, and the agent goes on with that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.stack import Stack, free_port, running_stack
from tests.acceptance.talk import Json, Talk, of_type, outcome, texts, types
from tests.acceptance.test_agents import agents_of
from tests.acceptance.test_workers import remove_stopped, stop_idle
from tests.acceptance.waiting import wait_until
from tests.model_server.starter import ModelServer
from tests.open_questions import allow_all, ask_all

pytestmark = pytest.mark.stack
ASK: Json = {"mode": "ask"}
AT_ONCE: Json = {"onExpiry": "park", "expirySeconds": 0.1}
CONTENT = "by the agent\n"


def parked(talk: Talk, provider: str, prompt: str) -> Json:
    """A run that nobody answered; its agent has ended."""
    started = talk.start(prompt, provider=provider, options=ASK, humanLoop=AT_ONCE)
    talk.watch(started, until="run.parked")
    wait_until(lambda: not agents_of(started["sessionId"]), seconds=30, what="the agent does not end")
    return started


def pending(talk: Talk, started: Json) -> list[Json]:
    found = talk.http.get("/api/human-loop/pending", params={"sessionId": started["sessionId"]})
    items: list[Json] = found.raise_for_status().json()["items"]
    return items


def answer(talk: Talk, started: Json, decision: str, **fields: object) -> str:
    """The request's id."""
    [request] = pending(talk, started)
    replied = talk.reply(request["requestId"], decision, **fields)
    assert replied.status_code == 200, replied.text
    return str(request["requestId"])


def applied(events: list[Json]) -> list[tuple[str, str]]:
    return [(one["requestId"], one["outcome"]) for one in of_type(events, "human_loop.applied")]


def test_an_answer_that_is_there_already_is_used_when_the_same_is_asked(stack: Stack, talk: Talk) -> None:
    started = parked(talk, "demo", "write a.txt: b")
    request_id = answer(talk, started, "allow")
    events = talk.watch(started)
    assert outcome(events) == ("succeeded", None)
    assert (stack.workspace(started["sessionId"]) / "a.txt").read_text() == "b\n"
    assert applied(events) == [(request_id, "applied")]
    assert types(events).count("human_loop.requested") == 1
    assert "run.retrying" not in types(events)


def test_a_denial_is_told_with_its_reason(stack: Stack, talk: Talk) -> None:
    started = parked(talk, "demo", "write a.txt: b")
    request_id = answer(talk, started, "deny", reason="not on a Monday")
    events = talk.watch(started)
    assert outcome(events) == ("succeeded", None)
    assert "I did not allow this: Write a.txt. The reason given: not on a Monday" in texts(events, "user")
    assert not (stack.workspace(started["sessionId"]) / "a.txt").exists()
    assert applied(events) == [(request_id, "applied")]


def test_a_form_may_be_filled_in_later(talk: Talk) -> None:
    started = parked(talk, "demo", "ask: Which colour?")
    request_id = answer(talk, started, "answer", answers={"answer": "green"})
    events = talk.watch(started)
    assert "green" in texts(events)
    assert applied(events) == [(request_id, "applied")]


def test_nobodys_answer_is_told_as_nobodys(stack: Stack, talk: Talk) -> None:
    denies = {"onExpiry": "deny", "expirySeconds": 0.1}
    events = talk.say("write a.txt: b", provider="demo", options=ASK, humanLoop=denies)
    assert outcome(events) == ("succeeded", None)
    assert not (stack.workspace(events[0]["sessionId"]) / "a.txt").exists()
    [resolved] = of_type(events, "human_loop.resolved")
    assert (resolved["decision"], resolved["by"]) == ("deny", "timeout")
    assert "No person has said no." in texts(events, "user")
    assert "I did not" not in texts(events, "user")
    assert [one["outcome"] for one in of_type(events, "human_loop.applied")] == ["applied"]


def test_a_parked_run_is_cancelled_at_once(talk: Talk) -> None:
    started = parked(talk, "demo", "write a.txt: b")
    talk.stop(started["runId"])
    assert outcome(talk.watch(started))[0] == "cancelled"
    assert pending(talk, started) == []


@pytest.mark.agents
@pytest.mark.timeout(400)
def test_days_later_on_another_worker_the_agent_goes_on_with_the_answer(model: ModelServer, tmp_path: Path) -> None:
    """With demo and the three real agents."""
    waiting: dict[str, Json] = {}
    with running_stack(tmp_path, model_url=model.url) as stack, Talk(stack.url, stack.token) as talk:
        for provider, prompt in PROMPTS.items():
            model.reset()
            model.add(*script(provider))
            waiting[provider] = parked(talk, provider, prompt)
            stop_idle(talk, waiting[provider]["sessionId"])
            remove_stopped(talk, waiting[provider]["sessionId"])
            assert not stack.workspace(waiting[provider]["sessionId"]).exists()
    with running_stack(tmp_path, model_url=model.url) as stack, Talk(stack.url, stack.token) as talk:
        for provider, started in waiting.items():
            model.reset()
            model.add(*script(provider), {"text": "Done."})
            request_id = answer(talk, started, "allow")
            events = talk.watch(started)
            assert outcome(events) == ("succeeded", None), provider
            assert applied(events) == [(request_id, "applied")], provider
            assert types(events).count("human_loop.requested") == 1, provider
            assert (stack.workspace(started["sessionId"]) / "made.txt").read_text() == CONTENT, provider


PROMPTS = {
    "demo": f"write made.txt: {CONTENT}",
    "claude-code": "Write the file",
    "codex": "Write the file",
    "opencode": "Write the file",
}


def script(provider: str) -> list[Json]:
    """Codex writes inside its sandbox without asking; a command that leaves it is asked for."""
    if provider == "demo":
        return []
    if provider == "codex":
        return [{"tool": "run", "command": "echo by the agent > made.txt", "escalate": True}]
    return [{"tool": "write", "path": "made.txt", "content": CONTENT}]


def test_a_question_outlives_ctrl_c_and_another_make_up(tmp_path: Path) -> None:
    model_url, port = "http://127.0.0.1:9", free_port()
    with running_stack(tmp_path, model_url=model_url, port=port) as stack, Talk(stack.url, stack.token) as talk:
        started = talk.start("write a.txt: b", provider="demo", options=ASK)
        talk.watch(started, until="run.waiting")
        [before] = pending(talk, started)
    with running_stack(tmp_path, model_url=model_url, port=port) as stack, Talk(stack.url, stack.token) as talk:
        [after] = pending(talk, started)
        assert after["requestId"] == before["requestId"]
        request_id = answer(talk, started, "allow")
        events = talk.watch(started)
        assert outcome(events) == ("succeeded", None)
        assert applied(events) == [(request_id, "applied")]
        assert types(events).count("human_loop.requested") == 1
        assert "run.retrying" not in types(events)
        assert (stack.workspace(started["sessionId"]) / "a.txt").read_text() == "b\n"


@pytest.mark.agents
@pytest.mark.timeout(400)
def test_open_questions_of_all_agents_outlive_ctrl_c_and_another_make_up(
    scripted_model: ModelServer, model: ModelServer, tmp_path: Path
) -> None:
    port = free_port()
    with (
        running_stack(tmp_path, model_url=scripted_model.url, port=port) as stack,
        Talk(stack.url, stack.token) as talk,
    ):
        asked = ask_all(talk, model)
        before = {provider: pending(talk, started) for provider, started in asked.items()}
    with (
        running_stack(tmp_path, model_url=scripted_model.url, port=port) as stack,
        Talk(stack.url, stack.token) as talk,
    ):
        assert {provider: pending(talk, started) for provider, started in asked.items()} == before
        allow_all(talk, model, asked, lambda run: (stack.workspace(run["sessionId"]) / "made.txt").read_text())

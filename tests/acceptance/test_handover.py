"""One session, one agent after the other: what one did the next one knows, and its todos stay."""

from __future__ import annotations

import pytest

from tests.acceptance.stack import Stack
from tests.acceptance.talk import Json, Talk, of_type, outcome, texts
from tests.model_server.starter import ModelServer

pytestmark = pytest.mark.stack
AUTO = {"mode": "auto"}


@pytest.mark.agents
@pytest.mark.timeout(180)
def test_three_agents_one_after_the_other_know_what_was_said_before(
    stack: Stack, model: ModelServer, talk: Talk
) -> None:
    model.add({"tool": "write", "path": "plum.txt", "content": "plum\n"}, {"text": "I wrote down the plum."})
    first = talk.say("Remember the word plum", provider="claude-code", options=AUTO)
    session = {"sessionId": first[0]["sessionId"], "options": AUTO}
    model.add({"text": "Codex here, and the pear is noted."})
    second = talk.say("Remember the word pear", provider="codex", **session)
    model.add({"text": "Plum and pear."})
    third = talk.say("Which words were they?", provider="opencode", **session)
    model.add({"text": "All of it."})
    fourth = talk.say("And you?", provider="claude-code", **session)

    assert [outcome(run) for run in (first, second, third, fourth)] == [("succeeded", None)] * 4
    assert (stack.workspace(first[0]["sessionId"]) / "plum.txt").exists()
    assert of_type(first, "conversation.handed_over") == []
    assert [told(run) for run in (second, third, fourth)] == [
        (["claude-code"], 1),
        (["claude-code", "codex"], 2),
        (["codex", "opencode"], 2),
    ]
    asked = {prompt.rstrip().splitlines()[-1]: body for prompt, body in prompts(model)}
    assert "I wrote down the plum." in asked["Remember the word pear"]
    assert all(words in asked["Which words were they?"] for words in ("I wrote down the plum.", "the pear is noted."))
    assert "the pear is noted." in asked["And you?"]
    assert of_type(fourth, "run.started")[0]["resumed"] is True
    assert texts(third).endswith("Plum and pear.")


def test_todos_keep_their_ids_from_run_to_run(talk: Talk) -> None:
    first = talk.say("hello", options=AUTO)
    second = talk.say("hello again", sessionId=first[0]["sessionId"], options=AUTO)
    assert ids(first) == ids(second)
    run_id = second[0]["runId"]
    [group] = talk.http.get(f"/api/runs/{run_id}/todos").json()["groups"]
    assert (group["groupId"], [item["id"] for item in group["items"]]) == ("demo", ids(second))
    assert {item["runId"] for item in group["items"]} == {run_id}
    changes = talk.http.get(f"/api/runs/{run_id}/todos/events").json()["items"]
    assert {change["itemId"] for change in changes} == set(ids(first))
    assert changes[0]["from"] == "completed"


def told(events: list[Json]) -> tuple[list[str], int]:
    [handover] = of_type(events, "conversation.handed_over")
    return handover["from"], handover["runs"]


def prompts(model: ModelServer) -> list[tuple[str, str]]:
    """What each prompt ended with, and all that the model was sent with it."""
    return [(one["prompt"], str(one["body"])) for one in model.requests() if one["prompt"] is not None]


def ids(events: list[Json]) -> list[str]:
    return [item["id"] for item in of_type(events, "todo.update")[-1]["items"]]

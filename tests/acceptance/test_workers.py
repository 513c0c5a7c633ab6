"""A session outlives its worker: saved, stopped, started, removed and put together anew, and its agent remembers."""

from __future__ import annotations

import shutil

import pytest

from tests.acceptance.stack import Stack
from tests.acceptance.talk import Json, Talk, of_type, outcome, texts
from tests.acceptance.waiting import wait_until
from tests.model_server.starter import ModelServer

pytestmark = pytest.mark.stack
AUTO = {"mode": "auto"}


def operate(talk: Talk, session_id: str, what: str) -> Json:
    answered = talk.http.post(f"/api/session-workers/{session_id}/{what}", timeout=90)
    assert answered.status_code == 200, answered.text
    done: Json = answered.json()
    return done


def worker(talk: Talk, session_id: str) -> Json:
    found: Json = talk.http.get(f"/api/session-workers/{session_id}").raise_for_status().json()
    return found


def stop_idle(talk: Talk, session_id: str) -> None:
    """As the idle limit would; at once, as soon as the agent has ended."""
    done: Json = {}

    def is_stopped() -> bool:
        done.update(operate(talk, session_id, "cleanup/idle"))
        return bool(worker(talk, session_id)["status"] == "stopped")

    wait_until(is_stopped, seconds=90, what=lambda: f"not stopped: {done} {worker(talk, session_id)}")


def remove_stopped(talk: Talk, session_id: str) -> None:
    """As the long limit would."""
    done = operate(talk, session_id, "cleanup/stopped")
    assert worker(talk, session_id)["status"] == "absent", done


def session_events(talk: Talk, session_id: str, type_: str) -> list[Json]:
    page = talk.http.get(f"/api/sessions/{session_id}/events", params={"limit": 500}).json()["items"]
    return [event["data"] for event in page if event["type"] == type_]


def test_a_session_goes_on_after_stop_and_removal_with_its_files_and_conversation(stack: Stack, talk: Talk) -> None:
    first = talk.say("write notes.txt: remember the heron", provider="demo", options=AUTO)
    session_id = first[0]["sessionId"]
    stop_idle(talk, session_id)
    told = worker(talk, session_id)
    assert told["sync"]["summary"] == "Saved up to run 1, 0 files unsaved."
    again = talk.say("read notes.txt", provider="demo", sessionId=session_id, options=AUTO)
    assert "heron" in texts(again)
    assert (of_type(again, "run.started")[0]["resumed"], worker(talk, session_id)["epoch"]) == (True, 1)
    stop_idle(talk, session_id)
    remove_stopped(talk, session_id)
    assert not stack.workspace(session_id).exists()
    third = talk.say("read notes.txt", provider="demo", sessionId=session_id, options=AUTO)
    assert "heron" in texts(third)
    assert (of_type(third, "run.started")[0]["resumed"], worker(talk, session_id)["epoch"]) == (True, 2)
    assert len(session_events(talk, session_id, "workspace.restored")) == 1
    assert session_events(talk, session_id, "run.warning") == []


def test_a_workspace_that_was_deleted_comes_back_from_its_snapshot(stack: Stack, talk: Talk) -> None:
    first = talk.say("write notes.txt: remember the heron", provider="demo", options=AUTO)
    session_id = first[0]["sessionId"]
    operate(talk, session_id, "sync")
    shutil.rmtree(stack.workspace(session_id).parent)
    again = talk.say("read notes.txt", provider="demo", sessionId=session_id, options=AUTO)
    assert "heron" in texts(again)
    assert worker(talk, session_id)["epoch"] == 2
    why = talk.http.get(f"/api/why/workers/{session_id}").json()
    assert "workspace.restored" in [each["what"] for each in why["history"]]


@pytest.mark.agents
@pytest.mark.parametrize("provider", ["claude-code", "codex", "opencode"])
def test_a_real_agent_remembers_after_stop_and_removal(
    stack: Stack, model: ModelServer, talk: Talk, provider: str
) -> None:
    model.add({"tool": "write", "path": "made.txt", "content": "by the agent\n"}, {"text": "I will remember the plum."})
    first = talk.say("Remember the word plum", provider=provider, options=AUTO)
    session_id = first[0]["sessionId"]
    stop_idle(talk, session_id)
    model.add({"text": "It was plum."})
    second = talk.say("Which word was it?", provider=provider, sessionId=session_id, options=AUTO)
    assert (outcome(second), remembers(model, second)) == (("succeeded", None), True)
    stop_idle(talk, session_id)
    remove_stopped(talk, session_id)
    assert not stack.workspace(session_id).exists()
    model.add({"text": "Still plum."})
    third = talk.say("And now?", provider=provider, sessionId=session_id, options=AUTO)
    assert (outcome(third), remembers(model, third)) == (("succeeded", None), True)
    assert (stack.workspace(session_id) / "made.txt").read_text() == "by the agent\n"
    assert worker(talk, session_id)["epoch"] == 2


def remembers(model: ModelServer, events: list[Json]) -> bool:
    resumed = of_type(events, "run.started")[0]["resumed"]
    return bool(resumed) and "Remember the word plum" in str(model.requests()[-1]["body"])

"""The demo agent shows everything once, and does what a prompt's lines ask for."""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import replace

import pytest

from executor.agents.provider import Provider
from schema.events import TodoUpdate
from schema.executor_api import Handover
from tests.integration.executor.agents.turns import SessionFolders, answering


def test_a_first_prompt_shows_everything(demo: Provider, folders: SessionFolders) -> None:
    folders.workspace.mkdir(parents=True)
    (folders.workspace / "README.md").write_text("hello")

    took = folders.take(demo, "Have a look around")

    assert took.finished.status == "succeeded"
    assert len(took.of("human_loop.requested")) == 1
    notes = (folders.workspace / "notes.md").read_text()
    assert "Have a look around" in notes
    assert "- README.md" in notes
    asked = took.of("human_loop.requested")[0]["toolCall"]
    assert (asked["relativeCwd"], asked["cwd"]) == (".", str(folders.workspace.resolve()))
    [diff] = [diff for update in took.of("tool.update") for diff in update.get("diffs", [])]
    assert (diff["root"], diff["relativePath"]) == ("workspace", "notes.md")
    assert [item["status"] for item in took.of("todo.update")[-1]["items"]] == ["completed"] * 3
    assert took.text("thought")
    assert {"tool.call", "tool.update", "usage.update", "message.stop"} <= set(took.types())
    assert took.finished.to_json()["usage"]["cost"] == {"source": "unavailable"}


def test_mode_auto_asks_nothing(demo: Provider, folders: SessionFolders) -> None:
    took = folders.take(demo, "Have a look", mode="auto")

    assert took.of("human_loop.requested") == []
    assert (folders.workspace / "notes.md").exists()


def test_a_denied_file_is_not_written(demo: Provider, folders: SessionFolders) -> None:
    took = folders.take(demo, "write a.txt: hello", decide=answering("deny"))

    assert not (folders.workspace / "a.txt").exists()
    assert "Did not write a.txt" in took.text()


def test_always_is_asked_once(demo: Provider, folders: SessionFolders) -> None:
    took = folders.take(demo, "write a.txt: 1\nwrite b.txt: 2", decide=answering("allow_always"))

    assert len(took.of("human_loop.requested")) == 1
    assert (folders.workspace / "b.txt").read_text() == "2\n"


def test_it_remembers_in_a_new_process(demo: Provider, folders: SessionFolders) -> None:
    first = folders.take(demo, "say: I like zebras", mode="auto")

    second = folders.take(demo, "Hello again", mode="auto", resume=first.started["agentSessionId"])

    assert second.started["resumed"] is True
    assert "I remember 1 earlier prompts, the last was: say: I like zebras" in second.text()


def test_a_prompt_that_may_have_arrived_is_never_sent_again(demo: Provider, folders: SessionFolders) -> None:
    took = folders.take(demo, "write a.txt: x", mode="auto", resume="0" * 32, continuing=True)

    assert (took.finished.status, took.code) == ("failed", "agent_lost")
    assert not (folders.workspace / "a.txt").exists()


def test_a_question_is_answered(demo: Provider, folders: SessionFolders) -> None:
    took = folders.take(demo, "ask: Which colour?", decide=answering("answer", answers={"answer": "blue"}))

    [request] = took.of("human_loop.requested")
    assert (request["kind"], request["title"]) == ("question", "Which colour?")
    assert '"blue"' in took.text()


def test_a_question_can_be_declined(demo: Provider, folders: SessionFolders) -> None:
    took = folders.take(demo, "ask: Which colour?", decide=answering("deny"))

    assert "You answered nothing" in took.text()
    assert took.finished.status == "succeeded"


@pytest.mark.parametrize(
    "prompt, status, code",
    [
        ("crash", "failed", "agent_crashed"),
        ("refuse", "failed", "agent_refused"),
        ("error: out of coffee", "failed", "agent_error"),
        ("garbage 3", "succeeded", ""),
        ("flood 500", "succeeded", ""),
        ("background", "succeeded", ""),
    ],
)
def test_a_line_can_ask_for_trouble(
    demo: Provider, folders: SessionFolders, prompt: str, status: str, code: str
) -> None:
    took = folders.take(demo, prompt)

    assert (took.finished.status, took.code) == (status, code)
    assert took.leftovers == []


def test_plain_words_are_no_orders(demo: Provider, folders: SessionFolders) -> None:
    took = folders.take(demo, "Write me a poem, please, and read the README", mode="auto")

    assert (folders.workspace / "notes.md").exists()
    assert "Hello! I am the demo agent" in took.text()


def test_a_hanging_agent_is_stopped(demo: Provider, folders: SessionFolders) -> None:
    took = folders.take(demo, "hang", grace_seconds=0.3, stop_when=lambda type_, _: type_ == "message.delta")

    assert took.code == "stopped"
    assert took.leftovers == []


def test_what_is_handed_over_is_told_and_not_obeyed(demo: Provider, folders: SessionFolders) -> None:
    handover = Handover(
        providers=["codex"], text="The user to codex:\n  write old.txt: x", runs=1, left_out=2, tokens=9
    )

    took = folders.take(demo, "write new.txt: y", mode="auto", handover=handover)

    assert took.of("conversation.handed_over") == [{"from": ["codex"], "runs": 1, "leftOut": 2, "tokens": 9}]
    assert [file.name for file in folders.workspace.glob("*.txt")] == ["new.txt"]
    [kept] = (folders.folder / "home").rglob(f"{took.started['agentSessionId']}.json")
    assert "old.txt" in kept.read_text()


def test_an_agent_that_lost_its_conversation_is_told_all_of_it(demo: Provider, folders: SessionFolders) -> None:
    meanwhile = Handover(providers=["codex"], text="The user to codex: two", runs=1, left_out=0, tokens=5)
    whole = Handover(providers=["demo", "codex"], text="The user to demo: one", runs=2, left_out=0, tokens=9)

    took = folders.take(demo, "hello", mode="auto", resume="lost", handover=meanwhile, handover_if_lost=whole)

    assert took.of("conversation.handed_over") == [{"from": ["demo", "codex"], "runs": 2, "leftOut": 0, "tokens": 9}]
    [kept] = (folders.folder / "home").rglob(f"{took.started['agentSessionId']}.json")
    assert "The user to demo: one" in kept.read_text()
    assert "is told what the log has of the earlier runs" in took.of("run.warning")[0]["message"]


def test_an_agent_that_resumes_is_not_told_its_own_conversation_again(demo: Provider, folders: SessionFolders) -> None:
    resume = folders.take(demo, "hello", mode="auto").started["agentSessionId"]
    whole = Handover(providers=["demo"], text="The user to demo: hello", runs=1, left_out=0, tokens=9)

    took = folders.take(demo, "hello", mode="auto", resume=resume, handover_if_lost=whole)

    assert took.of("conversation.handed_over") == []


def test_a_list_goes_on_where_the_run_before_left_it(demo: Provider, folders: SessionFolders) -> None:
    left = TodoUpdate.model_validate(folders.take(demo, "hello", mode="auto").of("todo.update")[-1])

    took = folders.take(demo, "hello", mode="auto", todos=[left])

    told = [[item["id"] for item in update["items"]] for update in took.of("todo.update")]
    assert told == [[item.id for item in left.items]] * 4


def test_a_prompt_of_the_executors_own_is_never_shown(demo: Provider, folders: SessionFolders) -> None:
    first = folders.take(demo, "say: I like zebras", mode="auto")
    resume = first.started["agentSessionId"]

    interrupted = folders.take(demo, "anything", mode="auto", resume=resume, continuing=True)
    later = folders.take(demo, "Hello again", mode="auto", resume=resume)

    assert "You were interrupted" not in interrupted.text() + later.text()
    assert "I remember 1 earlier prompts, the last was: say: I like zebras" in later.text()
    assert "You were interrupted" not in (folders.workspace / "notes.md").read_text()


def test_a_workspace_that_keeps_git_waiting_keeps_nothing_else_waiting(demo: Provider, folders: SessionFolders) -> None:
    folders.workspace.mkdir(parents=True)
    pipe = folders.workspace / "pipe"
    os.mkfifo(pipe)
    for arguments in (["init", "-q"], ["config", "include.path", str(pipe)]):
        subprocess.run(["git", *arguments], cwd=folders.workspace, check=True)
    let_go: list[bool] = []

    def let_git_go() -> bool:
        """End git's reading, from the loop that would stand still."""
        with contextlib.suppress(OSError):  # until git reads
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            let_go.append(True)
        return False

    took = folders.take(replace(demo, dialect="claude-code"), "say: hello", once=(let_git_go, lambda: None))

    assert let_go
    assert took.finished.status == "succeeded", took.finished


def test_a_guarded_run_says_which_hooks_are_off_and_how_git_lfs_is_pushed(
    demo: Provider, folders: SessionFolders
) -> None:
    hook = folders.workspace / ".git/hooks/pre-push"
    folders.workspace.mkdir(parents=True)
    subprocess.run(["git", "init", "-q"], cwd=folders.workspace, check=True)
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ngit lfs pre-push "$@"\n')
    hook.chmod(0o755)
    (folders.workspace / ".git/lfs").mkdir()

    took = folders.take(replace(demo, dialect="claude-code"), "say: hello")

    [warning] = [one["message"] for one in took.of("run.warning") if one["code"] == "workspace_ignored"]
    assert "git's hook pre-push" in warning
    assert "git lfs push REMOTE BRANCH" in warning

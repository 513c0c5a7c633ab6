"""What each agent is recorded at: work with thoughts, plans and diffs, requests, stops, and turns that fail.

A scene plays one session to its end and returns the session's events.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from schema.wire import Json
from tests.acceptance.stack import Stack
from tests.acceptance.talk import Talk
from tests.acceptance.test_agents import agents_of
from tests.acceptance.waiting import wait_until
from tests.model_server.starter import ModelServer

AGENTS = ["demo", "claude-code", "codex", "opencode"]
TODOS = [{"content": "Look around", "status": "in_progress"}, {"content": "Tidy up", "status": "pending"}]
DONE = [{"content": item["content"], "status": "completed"} for item in TODOS]
NOTE: Json = {"tool": "write", "path": "notes.md", "content": "# Notes\n\nWritten by the agent.\n"}
NEWER: Json = {"tool": "write", "path": "notes.md", "content": "# Notes\n\nWritten twice. 你好\n"}
LONG: Json = {"tool": "run", "command": "seq 1 4000"}
EDIT: Json = {"filePath": "notes.md", "oldString": "Written by the agent.", "newString": "Written twice. 你好"}
ENDLESS: Json = {"tool": "run", "command": "touch begun && tail -f /dev/null"}


@dataclass
class Recording:
    """One session of an agent."""

    agent: str
    talk: Talk
    model: ModelServer
    stack: Stack
    session_id: str | None = None

    def start(self, prompt: str, *, mode: str = "auto", model: str | None = None) -> Json:
        session = {"sessionId": self.session_id} if self.session_id else {}
        options = {"mode": mode, **({"model": model} if model else {})}
        started = self.talk.start(prompt, provider=self.agent, options=options, **session)
        self.session_id = started["sessionId"]
        return started

    def say(self, prompt: str, *steps: Json, model: str | None = None) -> None:
        """Play a turn to its end, with the model's steps."""
        self.model.add(*steps)
        self.talk.watch(self.start(prompt, model=model))

    def ask(self, prompt: str, *steps: Json, decision: str, **fields: object) -> None:
        """Play a turn in which each request gets the same decision."""
        self.model.add(*steps)
        started = self.start(prompt, mode="ask")
        asked = self.talk.watch(started, until="human_loop.requested")[-1]
        self.talk.reply(asked["data"]["requestId"], decision, **fields).raise_for_status()
        self.talk.watch(started)

    def stop(self, started: Json) -> None:
        self.talk.stop(started["runId"]).raise_for_status()
        self.talk.watch(started)

    def wait_for_command(self, started: Json) -> None:
        """Wait until the endless command runs and the log says so."""
        file = self.stack.workspace(str(self.session_id)) / "begun"
        wait_until(file.exists, seconds=60, what="the command was never run")
        self.talk.watch(started, until="tool.call")

    def events(self) -> list[Json]:
        """Return the session's log once its work is saved."""
        wait_until(self._is_saved, seconds=60, what="the session's work was not saved")
        events: list[Json] = []
        while True:
            after = events[-1]["seq"] if events else 0
            page = self.talk.http.get(f"/api/sessions/{self.session_id}/events?after={after}&limit=500").json()["items"]
            if not page:
                return events
            events += page

    def _is_saved(self) -> bool:
        return bool(self.talk.http.get(f"/api/sessions/{self.session_id}").json()["saved"]["isSaved"])


def work(recording: Recording) -> list[Json]:
    """Think, plan, write a file, run commands, and change the file in a second turn."""
    recording.say("Write notes", {"thought": "A note it is.", **NOTE}, LONG, {"text": "Written: **notes.md**"})
    recording.say("Plan", *_plans(recording.agent), {"text": "Planned."})
    failing: Json = {"tool": "run", "command": "ls no-such-folder"}
    change: Json = {"tool": "native", "name": "edit", "input": EDIT} if recording.agent == "opencode" else NEWER
    recording.say("Once more", change, failing, {"text": "Changed.", "usage": {"input": 500, "output": 20}})
    return recording.events()


def requests(recording: Recording) -> list[Json]:
    """Allow one call, deny another with a reason, and cancel a turn at its request."""
    write = _asks(recording.agent)
    recording.ask("Ask me", write, {"text": "Done as you said."}, decision="allow")
    recording.ask("Ask me again", write, {"text": "Then I leave it."}, decision="deny", reason="not in this folder")
    recording.model.reset()
    recording.ask("And again", write, decision="cancel")
    return recording.events()


def stops(recording: Recording) -> list[Json]:
    """Stop a command at work, with a prompt that waits behind it, and stop at an open request."""
    recording.model.add({"thought": "This takes long.", **ENDLESS})
    endless = recording.start("Run it")
    recording.start("Wait behind it")
    recording.wait_for_command(endless)
    recording.model.reset()
    recording.model.add({"text": "My turn came."})
    recording.stop(endless)
    wait_until(lambda: _is_idle(recording), seconds=60, what="the second run did not end")
    recording.model.add(_asks(recording.agent))
    asking = recording.start("Ask me", mode="ask")
    recording.talk.watch(asking, until="human_loop.requested")
    recording.stop(asking)
    return recording.events()


def failures(recording: Recording) -> list[Json]:
    """Name a model that there is not, kill the agent at work, and go on with another turn."""
    recording.say("Hello", model="no-such-model")
    recording.model.add({"thought": "Hm.", **ENDLESS})
    endless = recording.start("Run it")
    recording.wait_for_command(endless)
    for process in agents_of(str(recording.session_id)):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    recording.talk.watch(endless)
    recording.model.reset()
    recording.say("Are you there?", {"text": "Here again."})
    return recording.events()


def demo_work(recording: Recording) -> list[Json]:
    recording.say("Look around")
    recording.say("read notes.md\nread nothing.md\noutput 20000\nrun: ls -a\nwrite notes.md: 你好\nsay: **done**")
    return recording.events()


def demo_requests(recording: Recording) -> list[Json]:
    recording.ask("write a.md: one", decision="allow")
    recording.ask("write b.md: two", decision="deny", reason="not in this folder")
    recording.ask("ask: Which colour?", decision="answer", answers={"answer": "green"})
    recording.ask("write c.md: three", decision="cancel")
    return recording.events()


def demo_stops(recording: Recording) -> list[Json]:
    endless = recording.start("run: touch begun && tail -f /dev/null")
    recording.start("say: my turn came")
    recording.wait_for_command(endless)
    recording.stop(endless)
    wait_until(lambda: _is_idle(recording), seconds=60, what="the second run did not end")
    asking = recording.start("write d.md: four", mode="ask")
    recording.talk.watch(asking, until="human_loop.requested")
    recording.stop(asking)
    return recording.events()


def demo_failures(recording: Recording) -> list[Json]:
    for prompt in ("say: half\nerror: broken", "crash", "refuse", "say: here again"):
        recording.say(prompt)
    return recording.events()


Scene = Callable[[Recording], list[Json]]
_REAL: dict[str, Scene] = {"work": work, "requests": requests, "stops": stops, "failures": failures}
SCENES: dict[str, dict[str, Scene]] = {
    **dict.fromkeys(AGENTS, _REAL),
    "demo": {"work": demo_work, "requests": demo_requests, "stops": demo_stops, "failures": demo_failures},
}


def _plans(agent: str) -> list[Json]:
    """Claude Code makes a plan task by task, with tools that it has to look up first."""
    if agent != "claude-code":
        return [{"tool": "todos", "items": TODOS}, {"tool": "todos", "items": DONE}]
    look_up: Json = {"tool": "native", "name": "ToolSearch", "input": {"query": "select:TaskCreate,TaskUpdate"}}
    begin: Json = {"tool": "native", "name": "TaskUpdate", "input": {"taskId": "1", "status": "in_progress"}}
    return [look_up, *({"tool": "todos", "items": [item]} for item in TODOS), begin]


def _asks(agent: str) -> Json:
    """Codex writes inside its sandbox without asking; a command that leaves it is asked for."""
    if agent == "codex":
        return {"tool": "run", "command": "echo by the agent > asked.md", "escalate": True}
    return {"tool": "write", "path": "asked.md", "content": "by the agent\n"}


def _is_idle(recording: Recording) -> bool:
    queue = recording.talk.http.get(f"/api/sessions/{recording.session_id}/queue").json()
    return not queue.get("live") and not queue["items"]

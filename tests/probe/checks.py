"""What the probe tries: each check is a few turns of a real agent, and says whether the thing was really done.

A check that fails proves the lack: a run that counts on it is refused, warned or blocked.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from executor.agents.provider import Provider
from schema.events import HumanRequested
from schema.executor_api import Answer
from tests.integration.executor.agents.hostile import Hostile, refuses_hostile_files
from tests.integration.executor.agents.turns import Decide, SessionFolders, Took, answering
from tests.model_server.starter import Json, ModelServer

TURN_SECONDS = 60.0
DONE: Json = {"text": "That is all"}
MODELS = {"claude-code": "sonnet", "codex": "gpt-6-luna", "opencode": "scripted/other"}
OTHER_MODEL = {"provider": {"scripted": {"models": {"other": {"name": "Other"}}}}}
MAKES_ONE: Json = {"tool": "run", "command": "mktemp made.XXXXXX", "escalate": True}
"""Another file each time. Of `touch` and its like Claude Code offers no lasting permission."""
TODOS = [("Look around", "in_progress"), ("Tidy up", "pending")]


@dataclass(frozen=True)
class Trial:
    """An agent in a place of its own, and the model that it asks."""

    agent: Provider
    model: ModelServer
    folders: SessionFolders

    def take(self, *steps: Json, decide: Decide | None = None, mode: str = "auto", **more: Any) -> Took:
        """One turn in which the model does these steps, and nothing of an earlier turn. One that is too slow proves
        nothing: TimeoutError."""
        self.model.reset()
        self.model.add(*steps)
        took = self.folders.take(self.agent, "Do it", decide=decide, mode=mode, timeout_seconds=TURN_SECONDS, **more)
        if took.code == "timeout":
            raise TimeoutError(f"{self.agent.title} took more than {TURN_SECONDS:g} seconds")
        return took

    def writes(self, name: str) -> Json:
        return {"tool": "write", "path": str(self.folders.workspace / name), "content": "as scripted\n"}

    def has(self, name: str) -> bool:
        return (self.folders.workspace / name).exists()

    def told_model(self, text: str) -> bool:
        """Whether the model was sent this text in the last turn."""
        return any(text in json.dumps(request["body"]) for request in self.model.requests())


def holds(check: str, agent: Provider, model: ModelServer) -> bool:
    """Try it in an empty place."""
    with tempfile.TemporaryDirectory() as folder:
        return CHECKS[check](Trial(agent, model, SessionFolders(Path(folder))))


def silence(agent: Provider, model: ModelServer) -> str | None:
    """Why it gives no answer at all; None when it does."""
    with tempfile.TemporaryDirectory() as folder:
        took = Trial(agent, model, SessionFolders(Path(folder))).take(DONE)
    return None if took.text().endswith(DONE["text"]) else str(took.finished.reason)


def asks_a_person(trial: Trial) -> bool:
    """It asks first, does what is allowed, leaves what is denied, and its turn goes on after both."""
    allowed = trial.take(trial.writes("allowed.txt"), DONE, mode="ask", decide=answering("allow"))
    denied = trial.take(trial.writes("denied.txt"), DONE, mode="ask", decide=answering("deny"))
    asked = [len(took.of("human_loop.requested")) for took in (allowed, denied)]
    went_on = [took.finished.status == "succeeded" and took.text().endswith(DONE["text"]) for took in (allowed, denied)]
    return asked == [1, 1] and all(went_on) and trial.has("allowed.txt") and not trial.has("denied.txt")


def remembers_a_permission(trial: Trial) -> bool:
    """It offers a lasting permission, and the equal call is not asked of a person again: it does not ask, or it asks
    the same again with the same lasting options, which the control plane then answers as before."""
    took = trial.take(MAKES_ONE, MAKES_ONE, DONE, mode="ask", decide=answering("allow_always"))
    asked = [(request["fingerprint"], _lasting_options(request)) for request in took.of("human_loop.requested")]
    made = list(trial.folders.workspace.glob("made.*"))
    return len(made) == 2 and bool(asked) and asked[0][1] != [] and all(again == asked[0] for again in asked)


def _lasting_options(request: Json) -> list[Json]:
    return [option for option in request["options"] if option["kind"] == "allow_always"]


def hears_why_not(trial: Trial) -> bool:
    reason = "the blue folder is frozen"
    trial.take(
        trial.writes("denied.txt"), {**DONE, "repeat": True}, mode="ask", decide=answering("deny", reason=reason)
    )
    return trial.told_model(reason) and not trial.has("denied.txt")


def asks_questions(trial: Trial) -> bool:
    ask: Json = {"tool": "ask", "question": "Which colour?", "options": ["Red", "Blue"]}
    took = trial.take(ask, DONE, mode="ask", decide=_choose_blue)
    asked = [request["kind"] for request in took.of("human_loop.requested")]
    last = json.dumps(trial.model.requests()[-1]["body"])
    return asked == ["question"] and last.count("Blue") > last.count("Red")


def _choose_blue(request: HumanRequested) -> Answer:
    """`Blue` in the form's first field."""
    fields = list((request.schema_ or {}).get("properties", {}))
    if request.kind != "question" or not fields:
        return Answer(request_id=request.request_id, decision="deny")
    return Answer(request_id=request.request_id, decision="answer", answers={fields[0]: "Blue"})


def shows_its_plan(trial: Trial) -> bool:
    items = [{"content": content, "status": status} for content, status in TODOS]
    took = trial.take(*planning(trial.agent.name, items), DONE)
    told = [[(one["content"], one["status"]) for one in update["items"]] for update in took.of("todo.update")]
    return TODOS in told


def planning(provider: str, items: list[Json]) -> list[Json]:
    """Claude Code makes a plan task by task, with tools that it has to look up first."""
    if provider != "claude-code":
        return [{"tool": "todos", "items": items}]
    look_up: Json = {"tool": "native", "name": "ToolSearch", "input": {"query": "select:TaskCreate,TaskUpdate"}}
    begin: Json = {"tool": "native", "name": "TaskUpdate", "input": {"taskId": "1", "status": "in_progress"}}
    return [look_up, *({"tool": "todos", "items": [item]} for item in items), begin]


def takes_up_a_conversation(trial: Trial) -> bool:
    """A new process of it remembers what was said to and by the last one."""
    first = trial.take({"text": "My word is zebra"})
    second = trial.take(DONE, resume=first.started["agentSessionId"])
    return second.started["resumed"] is True and trial.told_model("My word is zebra")


def stops(trial: Trial) -> bool:
    """Told to stop, it and the command that it runs are gone."""
    endless: Json = {"tool": "run", "command": "touch started && tail -f /dev/null"}
    took = trial.take(endless, DONE, stop_once=lambda: trial.has("started"))
    return took.finished.status == "cancelled" and took.code == "stopped" and took.leftovers == []


def counts_tokens(trial: Trial) -> bool:
    took = trial.take({**DONE, "usage": {"input": 70, "output": 7, "cached_read": 30}})
    usage = took.finished.usage
    return usage is not None and (usage.input_tokens, usage.output_tokens, usage.cached_read_tokens) == (70, 7, 30)


def reports_its_cost(trial: Trial) -> bool:
    usage = trial.take(DONE).finished.usage
    return usage is not None and usage.cost is not None and usage.cost.source == "reported"


def shows_its_edits(trial: Trial) -> bool:
    """Who is asked for an edit sees it: in the request itself, or in what was said of its tool call."""
    took = trial.take(trial.writes("made.txt"), DONE, mode="ask", decide=answering("allow"))
    requests = [request["toolCall"] for request in took.of("human_loop.requested")]
    calls = [*requests, *took.of("tool.call"), *took.of("tool.update")]
    return bool(requests) and any("as scripted" in edit["newText"] for call in calls for edit in call.get("diffs", []))


def takes_a_model(trial: Trial) -> bool:
    name = MODELS[trial.agent.name]
    trial.take(DONE, model=name, providerOptions=OTHER_MODEL if trial.agent.name == "opencode" else None)
    asked = [request["body"]["model"] for request in trial.model.state()["requests"]]
    return any(name.rpartition("/")[2] in one for one in asked)


def takes_a_mode(trial: Trial) -> bool:
    """In `auto` nobody is asked, in `ask` somebody is."""
    alone = trial.take(trial.writes("alone.txt"), DONE, mode="auto")
    asking = trial.take(trial.writes("asked.txt"), DONE, mode="ask", decide=answering("allow"))
    asked = [len(took.of("human_loop.requested")) for took in (alone, asking)]
    return asked == [0, 1] and trial.has("alone.txt")


def takes_a_folder(trial: Trial) -> bool:
    (trial.folders.workspace / "inner").mkdir(parents=True)
    trial.take({"tool": "run", "command": "touch here.txt"}, DONE, cwd="inner")
    return trial.has("inner/here.txt")


def ignores_hostile_files(trial: Trial) -> bool:
    """Among files that would start programs and allow everything it starts none and asks for both calls."""
    hostile = Hostile(trial.folders.workspace, trial.folders.folder / "home", trial.folders.folder / "canary")
    trial.model.reset()
    took = refuses_hostile_files(trial.agent, trial.model, trial.folders, hostile)
    asked = [one for one in took.of("human_loop.requested") if "git " not in one["title"]]
    return took.finished.status == "succeeded" and hostile.marks() == [] and len(asked) == 2


CHECKS: dict[str, Callable[[Trial], bool]] = {
    "humanLoop": asks_a_person,
    "allowAlways": remembers_a_permission,
    "denyReason": hears_why_not,
    "questions": asks_questions,
    "todos": shows_its_plan,
    "resume": takes_up_a_conversation,
    "stop": stops,
    "usage": counts_tokens,
    "cost": reports_its_cost,
    "diffs": shows_its_edits,
    "model": takes_a_model,
    "mode": takes_a_mode,
    "cwd": takes_a_folder,
    "ignoresWorkspace": ignores_hostile_files,
}
"""By the capability, or the option of a run, that they prove."""

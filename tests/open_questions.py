"""Open questions of the demo agent and of the three real ones, and answers to them."""

from __future__ import annotations

from collections.abc import Callable

from tests.acceptance.talk import Json, Talk, of_type, outcome, types
from tests.acceptance.waiting import wait_until
from tests.model_server.starter import ModelServer

ASK: Json = {"mode": "ask"}
REAL = ["claude-code", "codex", "opencode"]
AGENTS = ["demo", *REAL]
CONTENT = "by the agent\n"


def ask(talk: Talk, prompt: str, *, questions: int = 1, **fields: object) -> Json:
    """A run that waits for answers to this many questions."""
    started = talk.start(prompt, **{"provider": "demo", "options": ASK, **fields})
    wait_until(lambda: len(pending(talk, started)) == questions, seconds=120, what="the agent does not ask")
    return started


def pending(talk: Talk, started: Json) -> list[str]:
    """The ids of open questions, in the order of their titles."""
    found = talk.http.get("/api/human-loop/pending", params={"sessionId": started["sessionId"]})
    items = sorted(found.raise_for_status().json()["items"], key=lambda item: str(item["title"]))
    return [str(item["requestId"]) for item in items]


def allow(talk: Talk, request_id: str) -> None:
    replied = talk.reply(request_id, "allow")
    assert replied.status_code == 200, replied.text


def applied(events: list[Json]) -> list[tuple[str, str]]:
    return sorted((told["requestId"], told["outcome"]) for told in of_type(events, "human_loop.applied"))


def script(provider: str) -> list[Json]:
    """Codex writes inside its sandbox without asking; a command that leaves it is asked for. Demo has no model."""
    if provider == "demo":
        return []
    if provider == "codex":
        return [{"tool": "run", "command": "echo by the agent > made.txt", "escalate": True}]
    return [{"tool": "write", "path": "made.txt", "content": CONTENT}]


def ask_all(talk: Talk, model: ModelServer) -> dict[str, Json]:
    """A run of each agent that asks whether it may write a file."""
    return {provider: ask_to_write(talk, model, provider) for provider in AGENTS}


def ask_to_write(talk: Talk, model: ModelServer, provider: str) -> Json:
    model.reset()
    model.add(*script(provider))
    return ask(talk, f"write made.txt: {CONTENT.strip()}", provider=provider)


def nothing_again(_provider: str) -> list[Json]:
    """The script of an agent that lived on: its model has proposed the call already."""
    return []


def allow_all(
    talk: Talk,
    model: ModelServer,
    asked: dict[str, Json],
    read: Callable[[Json], str],
    *,
    again: Callable[[str], list[Json]] = script,
) -> None:
    """Each answer reaches its agent, which asks nothing anew and writes its file, as `read` finds it.

    `again` says what the models of agents propose once more: the call, after their conversations were resumed.
    """
    for provider, started in asked.items():
        allow_to_write(talk, model, provider, started, again=again)
        assert read(started) == CONTENT, provider


def allow_to_write(
    talk: Talk, model: ModelServer, provider: str, started: Json, *, again: Callable[[str], list[Json]] = script
) -> None:
    """The answer reaches the agent once, which asks nothing anew."""
    [request_id] = pending(talk, started)
    model.reset()
    model.add(*again(provider), {"text": "Done."})
    allow(talk, request_id)
    events = talk.watch(started)
    assert outcome(events) == ("succeeded", None), provider
    assert applied(events) == [(request_id, "applied")], provider
    assert types(events).count("human_loop.requested") == 1, provider
    assert "run.retrying" not in types(events), provider


def made(talk: Talk, started: Json) -> str:
    """The file that the run's agent wrote, as the API tells it."""
    found = talk.http.get("/api/files/content", params={"sessionId": started["sessionId"], "path": "made.txt"})
    return str(found.raise_for_status().json()["text"])

"""G15: from nothing to ready, and from a prompt to what an agent first says."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from uuid import uuid4

from executor.agents.provider import Provider
from executor.agents.registry import load_registry
from executor.agents.run_turn import take_turn
from executor.agents.turn import Stop, Turn
from schema.events import HumanRequested, RunStarted
from schema.executor_api import Answer
from schema.options import AppOptions
from schema.wire import Wire
from tests.acceptance.stack import CLONE, Stack, running_stack
from tests.acceptance.talk import Talk
from tests.benchmarks.figures import in_turns
from tests.benchmarks.report import Line, Wanted, bounded, rated
from tests.model_server.providers import scripted_environment, scripted_providers
from tests.model_server.starter import ModelServer, model_server
from tests.start_runs import start_run

AGENT = "opencode"
SAMPLES = 5


def first_events() -> Iterator[Line]:
    with model_server() as model, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _timed_stack(folder, model) as (_, seconds):
            yield Line("G15", "start to ready, no data yet", f"{seconds:.1f} s", note=_without_installation())
        with _timed_stack(folder, model) as (stack, seconds), Talk(stack.url, stack.token) as talk:
            yield bounded("G15", "start to ready, the next time", seconds, unit="s", most=10)
            took = [_through_runyard(talk, "demo", "hello") for _ in range(SAMPLES)]
            demo = f"{median(took):.2f} s (at most {max(took):.2f})"
            yield bounded("G15", "first event of a demo run", median(took), unit="s", most=1, measured=demo)
            yield from _of_a_real_agent(talk, model, folder)


def _without_installation() -> str:
    return "the environment was installed before; `time make up` in a fresh clone adds what pip needs"


def _of_a_real_agent(talk: Talk, model: ModelServer, folder: Path) -> Iterator[Line]:
    model.add({"text": "hello", "repeat": True})
    (folder / "bare.toml").write_text(scripted_providers(model.url))
    environment = {**os.environ, **scripted_environment(model.url)}
    agents = Path(os.environ.get("AGENTS_DIR", CLONE / ".runyard" / "agents"))
    provider = load_registry(folder / "bare.toml", agents_dir=agents, environment=environment).find(AGENT)
    assert provider is not None
    if not agents.exists():
        yield Line("G15", f"first event of {AGENT}", "-", note="not measured: run `make agents` first")
        return
    rounds = in_turns(lambda: _through_runyard(talk, AGENT, "hello"), lambda: _bare(provider, folder), rounds=SAMPLES)
    yield rated("G15", f"first words of {AGENT}, to the bare agent", rounds, unit="s", wanted=Wanted("<=", 1.3))


@contextmanager
def _timed_stack(folder: Path, model: ModelServer) -> Iterator[tuple[Stack, float]]:
    began = time.monotonic()
    with running_stack(folder, model_url=model.url) as stack:
        yield stack, time.monotonic() - began


def _through_runyard(talk: Talk, provider: str, prompt: str) -> float:
    """Seconds from the prompt, in a new session, to the agent's first word at the client."""
    began = time.monotonic()
    started = talk.start(prompt, provider=provider, options={"mode": "auto"})
    with talk.following(started["sessionId"], after=started["seq"]) as events:
        for event in events:
            assert event["type"] != "run.finished", event
            if event["type"] not in ("run.queued", "run.started"):
                break
    took = time.monotonic() - began
    talk.watch(started)
    return took


def _bare(provider: Provider, folder: Path) -> float:
    """The same without Runyard: the agent's program, a new workspace and home, the same prompt."""
    place = folder / f"bare-{uuid4()}"
    workspace = place / "workspace"
    workspace.mkdir(parents=True)
    turn = Turn(
        run=start_run(provider=provider.name, options=AppOptions(mode="auto"), timeout_seconds=60),
        workspace=workspace,
        home=place / "home",
    )
    listener = _FirstWords()
    began = time.monotonic()
    asyncio.run(_turn(provider, turn, listener))
    assert listener.heard_at is not None
    return listener.heard_at - began


async def _turn(provider: Provider, turn: Turn, listener: _FirstWords) -> None:
    await take_turn(turn, provider, listener, Stop(asyncio.Event(), 5))


class _FirstWords:
    """Remembers when the agent said something."""

    def __init__(self) -> None:
        self.heard_at: float | None = None

    def say(self, type_: str, data: Wire) -> None:  # noqa: ARG002
        self.heard_at = self.heard_at or time.monotonic()

    def say_late(self, type_: str, data: Wire) -> None:
        """What comes after the end is no first word."""

    async def begin(self, started: RunStarted) -> None:
        """Nobody has to acknowledge it."""

    async def ask(self, request: HumanRequested) -> Answer:
        return Answer(request_id=request.request_id, decision="allow")

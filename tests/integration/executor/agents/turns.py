"""One turn of a real agent, driven as the executor drives it, with what it said kept for the test."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from executor.agents.provider import Provider
from executor.agents.registry import load_registry
from executor.agents.run_turn import take_turn
from executor.agents.turn import Stop, Turn
from executor.process.leftovers import marked_processes
from schema.events import HumanRequested, MessageDelta, RunFinished, RunStarted, TodoUpdate
from schema.executor_api import Answer, Handover, Resume
from schema.options import AppOptions
from schema.wire import Json, Wire
from tests.model_server.providers import scripted_environment, scripted_providers
from tests.model_server.starter import ModelServer
from tests.start_runs import start_run

ROOT = Path(__file__).parents[4]
AGENTS_DIR = Path(os.environ.get("AGENTS_DIR", ROOT / ".runyard/agents"))

Decide = Callable[[HumanRequested], Answer | None]


@dataclass
class Recorder:
    """A listener that keeps everything; `when` is asked at each event and may act."""

    decide: Decide
    when: Callable[[str, Wire], None]
    events: list[tuple[str, Wire]] = field(default_factory=list)
    late: list[tuple[str, Wire]] = field(default_factory=list)

    def say(self, type_: str, data: Wire) -> None:
        self.events.append((type_, data))
        self.when(type_, data)

    def say_late(self, type_: str, data: Wire) -> None:
        self.late.append((type_, data))

    async def begin(self, started: RunStarted) -> None:
        self.say("run.started", started)

    async def ask(self, request: HumanRequested) -> Answer | None:
        self.say("human_loop.requested", request)
        answer = self.decide(request)
        if answer is None:
            await asyncio.Event().wait()
        return answer


@dataclass(frozen=True)
class Took:
    """A turn that is over."""

    finished: RunFinished
    events: list[tuple[str, Wire]]
    leftovers: list[str]
    late: list[tuple[str, Wire]]

    def of(self, type_: str) -> list[Json]:
        return [data.to_json() for name, data in self.events if name == type_]

    def types(self) -> list[str]:
        return [name for name, _ in self.events]

    def text(self, role: str = "assistant") -> str:
        said = [data for _, data in self.events if isinstance(data, MessageDelta)]
        return "".join(one.text for one in said if one.role == role)

    @property
    def started(self) -> Json:
        return self.of("run.started")[0]

    @property
    def code(self) -> str:
        return self.finished.reason.code if self.finished.reason else ""


def answering(decision: str, **fields: object) -> Decide:
    """The same decision on every request."""

    def decide(request: HumanRequested) -> Answer:
        return Answer.model_validate({"request_id": request.request_id, "decision": decision, **fields})

    return decide


def scripted_agent(name: str, model: ModelServer, folder: Path) -> Provider:
    """The shipped provider, turned to the scripted model; its registry is written into the folder."""
    file = folder / "providers.toml"
    file.write_text(scripted_providers(model.url), encoding="utf-8")
    environment = {**os.environ, **scripted_environment(model.url)}
    provider = load_registry(file, agents_dir=AGENTS_DIR, environment=environment).find(name)
    assert provider
    return provider


async def _when_true(condition: Callable[[], bool], act: Callable[[], None]) -> None:
    while not condition():  # noqa: ASYNC110 -- files have no event
        await asyncio.sleep(0.02)
    act()


@dataclass
class SessionFolders:
    """A session's workspace and agent home."""

    folder: Path
    session_id: uuid.UUID = field(default_factory=uuid.uuid4)

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    def take(
        self,
        provider: Provider,
        prompt: str,
        *,
        decide: Decide | None = None,
        stop_when: Callable[[str, Wire], bool] | None = None,
        once: tuple[Callable[[], bool], Callable[[], None]] | None = None,
        stop_once: Callable[[], bool] | None = None,
        resume: str | None = None,
        continuing: bool = False,
        timeout_seconds: float = 60,
        grace_seconds: float = 5,
        stop_after: float | None = None,
        todos: Sequence[TodoUpdate] = (),
        handover: Handover | None = None,
        handover_if_lost: Handover | None = None,
        silent_seconds: float = 0,
        silence_told_seconds: float = 10,
        late_seconds: float = 2,
        secrets: frozenset[str] = frozenset(),
        must_ask: bool = False,
        **options: object,
    ) -> Took:
        """Run one turn to its end."""
        self.workspace.mkdir(parents=True, exist_ok=True)
        turn = Turn(
            run=start_run(
                session_id=self.session_id,
                provider=provider.name,
                prompt=prompt,
                options=AppOptions.model_validate(options),
                timeout_seconds=timeout_seconds,
                resume=Resume(agent_session_id=resume, continuing=continuing) if resume else None,
                todos=list(todos),
                handover=handover,
                handover_if_lost=handover_if_lost,
                must_ask=must_ask,
            ),
            workspace=self.workspace,
            home=self.folder / "home",
            silent_seconds=silent_seconds,
            silence_told_seconds=silence_told_seconds,
            late_seconds=late_seconds,
            secrets=secrets,
        )

        async def act() -> Took:
            stop = Stop(asyncio.Event(), grace_seconds)

            def look(type_: str, data: Wire) -> None:
                if stop_when and stop_when(type_, data):
                    stop.wanted.set()

            if stop_after is not None:
                asyncio.get_running_loop().call_later(stop_after, stop.wanted.set)
            recorder = Recorder(decide or answering("allow"), look)
            watches = [once, (stop_once, stop.wanted.set) if stop_once else None]
            tasks = [asyncio.create_task(_when_true(*watch)) for watch in watches if watch]
            finished = await take_turn(turn, provider, recorder, stop)
            for task in tasks:
                task.cancel()
            left = [" ".join(one.cmdline()) for one in marked_processes(self.session_id)]
            return Took(finished, recorder.events, left, recorder.late)

        return asyncio.run(act())

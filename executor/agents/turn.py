"""Define one agent turn: its input, the events that it may report meanwhile, and its end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from executor.process.account import EXECUTOR_ACCOUNT, AgentAccount
from schema.events import HumanRequested, RunStarted
from schema.executor_api import Answer, StartRun
from schema.wire import Wire

SILENCE_TOLD_SECONDS = 10.0
LATE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Describe the work of one agent turn.

    `run` is the order of the control plane. `workspace` and `home` are absolute and stay the same for the session's
    life. `disk_bytes` limits both together; 0 is no limit. After `silence_told_seconds` without a word of the agent the
    session is warned, and after `silent_seconds` the run fails; 0 is no limit. Text of an agent that ends is recorded
    as late until `late_seconds` after its answer. `secrets` are values that no event may hold, beside those of the
    turn's own provider.
    """

    run: StartRun
    workspace: Path
    home: Path
    account: AgentAccount = EXECUTOR_ACCOUNT
    disk_bytes: int = 0
    silent_seconds: float = 0
    silence_told_seconds: float = SILENCE_TOLD_SECONDS
    late_seconds: float = LATE_SECONDS
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def continues(self) -> bool:
        """Whether the prompt may have reached an agent before: it is never sent again."""
        return self.run.resume is not None and self.run.resume.continuing


class Listener(Protocol):
    """Receive the events and questions of a turn."""

    def say(self, type_: str, data: Wire) -> None:
        """Record an event. Never blocks, and keeps the order."""

    def say_late(self, type_: str, data: Wire) -> None:
        """Record an event that comes after the turn's end, and is stored after it. Never blocks."""

    async def begin(self, started: RunStarted) -> None:
        """Record `run.started` and wait until the control plane has it. Only then may the prompt be sent."""

    async def ask(self, request: HumanRequested) -> Answer | None:
        """Record `human_loop.requested` and wait for the answer. Return None when the turn is being stopped.

        An answer from an earlier attempt returns at once, with the id of its original request. Raises Invalid for a
        request that cannot be recorded.
        """


@dataclass
class Stop:
    """Set once, when the turn has to end. The agent gets `grace_seconds` before its process group is killed.

    `silently`: the run continues later in another process of the agent. This process is told nothing, because the agent
    would remember any message as a person's word.
    """

    wanted: asyncio.Event
    grace_seconds: float
    silently: bool = False

"""One agent turn, as the rest of the executor sees it: what goes in, what it may say meanwhile, how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import UUID

from executor.process.account import OURS, AgentAccount
from schema.events import HumanRequested, RunStarted, TodoUpdate
from schema.executor_api import Answer, CarriedAnswer, Handover, Resume
from schema.options import RunOptions
from schema.wire import Wire


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What an agent is asked to do. `workspace` and `home` are absolute and stay the same for the session's life.
    `disk_bytes` is what both together may take; 0 is no limit. `answers` are for what was asked by an earlier attempt,
    and are given to the same calls when they are asked for again. `todos` are the session's lists as they are."""

    run_id: UUID
    session_id: UUID
    attempt: int
    provider: str
    prompt: str
    options: RunOptions
    workspace: Path
    home: Path
    timeout_seconds: float | None = None
    resume: Resume | None = None
    answers: tuple[CarriedAnswer, ...] = ()
    todos: Sequence[TodoUpdate] = ()
    handover: Handover | None = None
    account: AgentAccount = OURS
    disk_bytes: int = 0

    @property
    def continues(self) -> bool:
        """The prompt may have reached an agent before: it is never sent again."""
        return self.resume is not None and self.resume.continuing


class Listener(Protocol):
    """What a turn needs from the executor while it goes on."""

    def say(self, type_: str, data: Wire) -> None:
        """Record an event. Never blocks; order is kept."""

    async def begin(self, started: RunStarted) -> None:
        """Record `run.started` and wait until the control plane has it: only then may the prompt leave."""

    async def ask(self, request: HumanRequested) -> Answer | None:
        """Record `human_loop.requested` and wait for the answer; None when the turn is being stopped. One that is there
        from an earlier attempt comes at once, and keeps the id of the request that it was given to. Raises Invalid
        for a request that cannot be shown to anybody."""


@dataclass
class Stop:
    """Set once, when the turn has to end; the agent gets `grace_seconds` before its process group is killed.

    `silently`: the run goes on later, by another process of the agent. This one is told nothing, for whatever it were
    told it would remember as a person's word.
    """

    wanted: asyncio.Event
    grace_seconds: float
    silently: bool = False

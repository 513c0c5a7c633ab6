"""One agent turn, as the rest of the executor sees it: what goes in, what it may say meanwhile, how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import UUID

from executor.account import OURS, Account
from schema.events import HumanRequested, RunStarted, TodoUpdate
from schema.executor_api import Answer, Handover, Resume
from schema.options import RunOptions
from schema.wire import Wire


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What an agent is asked to do. `workspace` and `home` are absolute and stay the same for the session's life.
    `disk_bytes` is what both together may take; 0 is no limit. `todos` are the session's lists as they are."""

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
    todos: Sequence[TodoUpdate] = ()
    handover: Handover | None = None
    account: Account = OURS
    disk_bytes: int = 0


class Listener(Protocol):
    """What a turn needs from the executor while it goes on."""

    def say(self, type_: str, data: Wire) -> None:
        """Record an event. Never blocks; order is kept."""

    async def begin(self, started: RunStarted) -> None:
        """Record `run.started` and wait until the control plane has it: only then may the prompt leave."""

    async def ask(self, request: HumanRequested) -> Answer | None:
        """Record `human_loop.requested` and wait for the answer; None when the turn is being stopped."""


@dataclass(frozen=True)
class Stop:
    """Set once, when the turn has to end; the agent gets `grace_seconds` before its process group is killed."""

    wanted: asyncio.Event
    grace_seconds: float

"""Define the API's explanations of runs and requests: sentences for people and names for programs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from schema.rows import RunStatus
from schema.wire import Wire
from schema.worker_api import Happened


class Why(Wire):
    """An explanation. `blockedBy` names what the next step waits for.

    `owner` works on it now, or has to decide. `nextJob` handles it next, at `nextDeadline` or before. `code` is stable
    and names the sentence in `reason`; `values` are what the sentence says of this case.
    """

    reason: str
    code: str | None = None
    values: dict[str, str | int] = Field(default_factory=dict)
    blocked_by: list[str]
    owner: str | None = None
    next_deadline: datetime | None = None
    next_job: str | None = None


class RunWhy(Why):
    """The explanation of a run. `history` is newest first, without the agent's messages."""

    run_id: UUID
    session_id: UUID
    state: RunStatus
    history: list[Happened]


class HumanRequestWhy(Why):
    """The explanation of a request. `history` is newest first."""

    request_id: UUID
    run_id: UUID
    session_id: UUID
    state: Literal["open", "answered", "delivering", "applied", "void", "expired", "cancelled"]
    history: list[Happened]

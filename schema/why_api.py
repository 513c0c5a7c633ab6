"""Why a run or a request is as it is: what the API tells, in sentences for people and names for programs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from schema.rows import RunStatus
from schema.wire import Wire
from schema.worker_api import Happened


class Why(Wire):
    """`blockedBy` is what the next step waits for; `owner` who is at it now, or whose word it waits for; `nextJob` what
    sees to it next, at `nextDeadline` or before."""

    reason: str
    blocked_by: list[str]
    owner: str | None = None
    next_deadline: datetime | None = None
    next_job: str | None = None


class RunWhy(Why):
    """`history` is newest first, without what the agent said."""

    run_id: UUID
    session_id: UUID
    state: RunStatus
    history: list[Happened]


class HumanRequestWhy(Why):
    """`history` is newest first."""

    request_id: UUID
    run_id: UUID
    session_id: UUID
    state: Literal["open", "answered", "delivering", "applied", "void", "expired", "cancelled"]
    history: list[Happened]

"""Rows as the named queries return them; columns and fields carry the same names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from schema.wire import Json

RunStatus = Literal[
    "queued",
    "starting",
    "running",
    "waiting",
    "parked",
    "cancelling",
    "succeeded",
    "failed",
    "cancelled",
    "blocked",
]
FINAL: frozenset[RunStatus] = frozenset({"succeeded", "failed", "cancelled", "blocked"})
Role = Literal["admin", "operator", "member"]


@dataclass(frozen=True)
class UserRow:
    id: UUID
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True)
class AppRow:
    id: UUID
    name: str
    version: int
    provider: str
    options: Json
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class SessionRow:
    id: UUID
    owner_id: UUID
    app_id: UUID
    title: str
    created_at: datetime
    updated_at: datetime
    last_seq: int
    epoch: int


@dataclass(frozen=True)
class RunRow:
    """One agent turn. `claim`, `attempt`, `epoch` and `key_generation` fence its writers, see design.md."""

    id: UUID
    session_id: UUID
    user_id: UUID
    app_id: UUID
    app_version: int
    provider: str
    prompt: str
    options: Json
    warnings: list[Json]
    traceparent: str
    status: RunStatus
    position: int
    bound: bool
    claim: int
    claimed_by: str | None
    lock_expires_at: datetime | None
    attempt: int
    max_attempts: int
    key_generation: int
    previous_key_until: datetime | None
    epoch: int | None
    last_n: int
    prompt_delivered: bool
    lease_expires_at: datetime | None
    next_attempt_at: datetime
    timeout_seconds: float | None
    cancel_deadline_at: datetime | None
    last_error: str | None
    usage: Json | None
    reason_code: str | None
    reason_message: str | None
    stop_reason: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def is_final(self) -> bool:
        return self.status in FINAL


@dataclass(frozen=True)
class EventRow:
    session_id: UUID
    seq: int
    id: UUID
    run_id: UUID | None
    attempt: int | None
    author: str
    type: str
    at: datetime
    late: bool
    data: Json


@dataclass(frozen=True)
class LogHead:
    """The head of a session's log; holding its row lock is holding the session."""

    session_id: UUID
    last_seq: int
    epoch: int


@dataclass(frozen=True)
class HumanRequestRow:
    id: UUID
    session_id: UUID
    run_id: UUID
    attempt: int
    kind: Literal["permission", "question"]
    status: Literal["open", "answered", "delivering", "applied", "void", "expired", "cancelled"]
    title: str
    fingerprint: str
    tool_call: Json | None
    options: list[Json] | None
    answer_schema: Json | None
    requested_at: datetime
    expires_at: datetime | None
    on_expiry: str
    answer: Json | None
    decided_by: str | None
    decided_at: datetime | None
    outcome_told: str | None
    settled_at: datetime | None


@dataclass(frozen=True)
class WorkerRow:
    session_id: UUID
    status: Literal["absent", "starting", "active", "stopping", "stopped", "removing", "lost"]
    status_since: datetime
    epoch: int
    host: str
    base_url: str | None
    last_error: str | None
    dirty_since: datetime | None
    synced_at: datetime | None
    sync_failures: int
    next_sync_at: datetime | None


@dataclass(frozen=True)
class ProviderRow:
    name: str
    declared: Json
    announced_at: datetime


@dataclass(frozen=True)
class OperationRow:
    id: UUID
    kind: str
    arguments: Json
    result: Json | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None

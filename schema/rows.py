"""Define rows as the named queries return them. Columns and fields have the same names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from schema.wire import Json
from schema.workspace_api import SyncReason

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
WorkerStatus = Literal["absent", "starting", "active", "stopping", "stopped", "removing", "lost"]


@dataclass(frozen=True)
class UserRow:
    id: UUID
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True)
class TokenRow:
    """Describe a bearer token. The token itself is not stored."""

    id: UUID
    label: str
    scopes: list[str] | None
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


SignInMethod = Literal["code", "token", "oidc"]


@dataclass(frozen=True)
class SignInRow:
    """A browser that is signed in, until `expires_at` or until its row is ended."""

    id: UUID
    method: SignInMethod
    user_agent: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class AppRow:
    """`manifest`, `limits` and `human_loop` as in schema/runtime_manifest.py, schema/worker_limits.py and
    schema/human_policy.py."""

    id: UUID
    name: str
    version: int
    provider: str
    options: Json
    manifest: Json
    limits: Json
    human_loop: Json
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
    """One agent turn.

    `claim`, `attempt`, `epoch` and `key_generation` fence its writers. `lease_expires_at` is the log head's; without
    one, `lock_expires_at` applies.
    """

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
    human_loop: Json
    parked_at: datetime | None
    held_by: str | None
    held_since: datetime | None
    revision: int
    retry_of: UUID | None

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
    """The head of a session's log. Holding its row lock is holding the session.

    `run_id` is the session's live run, if any. `last_n` is the last event of its attempt in the log, by its source's
    numbers.
    """

    session_id: UUID
    last_seq: int
    epoch: int
    run_id: UUID | None
    last_n: int


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
    expiry_seconds: float | None
    then_on_expiry: str | None
    escalate_to: str | None
    escalated_at: datetime | None
    carried_to: int | None
    replaces: UUID | None


@dataclass(frozen=True)
class WorkerRow:
    session_id: UUID
    status: WorkerStatus
    status_since: datetime
    epoch: int
    host: str
    base_url: str | None
    last_error: str | None
    dirty_since: datetime | None
    synced_at: datetime | None
    sync_failures: int
    next_sync_at: datetime | None
    head_snapshot: UUID | None
    sync_error: str | None
    idle_since: datetime | None
    restored_at: datetime | None


@dataclass(frozen=True)
class ProviderRow:
    """A provider's declaration, and what is known of its version (the declared one, else the one seen last)."""

    name: str
    declared: Json
    announced_at: datetime
    version: str | None
    said: Json | None
    said_at: datetime | None
    proved: Json | None
    proved_at: datetime | None


@dataclass(frozen=True)
class JobRequestRow:
    id: UUID
    kind: str
    arguments: Json
    result: Json | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class SnapshotRow:
    """One saved state of a session. `objects` are all that it needs, its manifest last."""

    id: UUID
    session_id: UUID
    number: int
    epoch: int
    run_id: UUID | None
    reason: SyncReason
    seq: int
    at_rest: bool
    files: int
    bytes: int
    changed: int
    uploaded_bytes: int
    skipped: list[Json]
    objects: list[str]
    manifest_digest: str
    created_at: datetime


@dataclass(frozen=True)
class RestoreRow:
    """One restore of a session's workspace, and its result."""

    id: UUID
    session_id: UUID
    epoch: int
    snapshot_id: UUID | None
    state: Literal["running", "done", "failed"]
    receipt: Json | None
    error: str | None
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class SavingRow:
    """Everything that decides about saving a session, at one moment.

    `epoch` is the worker's, `session_epoch` the newest one. `run_id` is the run that works in the worker, else the last
    that did. `is_restored`: the volume was not left half restored.
    """

    session_id: UUID
    status: WorkerStatus
    epoch: int
    session_epoch: int
    last_seq: int
    dirty_since: datetime | None
    dirty_seq: int
    sync_claim: int
    sync_failures: int
    sync_error: str | None
    next_sync_at: datetime | None
    is_claimed: bool
    is_syncing: bool
    head_snapshot: UUID | None
    head_seq: int | None
    head_at_rest: bool
    live_run_id: UUID | None
    run_id: UUID | None
    traceparent: str | None
    manifest: Json
    unsaved_seconds: float
    is_restored: bool

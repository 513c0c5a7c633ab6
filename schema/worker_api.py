"""What the API and the command line tell of session workers: the same JSON from both."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field

from schema.rows import WorkerStatus
from schema.wire import Json, Wire


class WorkerSync(Wire):
    """How much of a worker is saved. `savedUpToRunNumber` counts the session's runs from 1. `unsavedFiles` is 0 when
    all is saved; otherwise it is left out, since nobody has looked, and `reason` says what stands in the way."""

    dirty_since: datetime | None = None
    synced_at: datetime | None = None
    failures: int
    next_sync_at: datetime | None = None
    head_snapshot: UUID | None = None
    error: str | None = None
    is_saved: bool | None = None
    reason: str | None = None
    saved_up_to_run: UUID | None = None
    saved_up_to_run_number: int | None = None
    saved_files: int | None = None
    saved_bytes: int | None = None
    unsaved_files: int | None = None
    summary: str | None = Field(default=None, description="One sentence: saved up to run 12, 0 files unsaved.")


class WorkerReport(Wire):
    """A session's worker. `idleSince` is there while it is active and no run needs it; `nextDeadline` says when
    something is done about it if nothing happens before."""

    session_id: UUID
    status: WorkerStatus
    status_since: datetime
    epoch: int
    host: str
    restored_at: datetime | None = None
    idle_since: datetime | None = None
    last_error: str | None = None
    sync: WorkerSync
    next_deadline: datetime | None = None


class Happened(Wire):
    """Something that happened to it: a type of event, `restore.*`, or what an operator did."""

    at: datetime
    what: str
    detail: Json


class WorkerWhy(Wire):
    """Why a worker is as it is. `blockedBy` is what the next step waits for; `owner` who is at it now; `nextJob` what
    sees to it next, at `nextDeadline` or before. `history` is newest first."""

    session_id: UUID
    state: WorkerStatus
    blocked_by: list[str]
    owner: str | None = None
    next_deadline: datetime | None = None
    next_job: str | None = None
    reason: str
    history: list[Happened]

"""Define the API's and the command line's view of session workers: both answer the same JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from schema.rows import WorkerStatus
from schema.wire import Json, Wire

NextStep = Literal["start", "save", "stop", "remove"]


class WorkerSync(Wire):
    """How much of a worker is saved. `savedUpToRunNumber` counts the session's runs from 1.

    `unsavedFiles` is 0 when all is saved. Otherwise it is absent, because nothing has counted them, and `reason` names
    the obstacle.
    """

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
    summary: str | None = Field(default=None, description="One sentence, such as: saved up to run 12, 0 files unsaved.")


class WorkerReport(Wire):
    """A session's worker.

    `idleSince` is set while the worker is active and no run needs it. `nextDeadline` is the time of the next automatic
    step, and `nextStep` names that step; a stop saves first. Lists name the session's owner, and its title to those who
    may see the session.
    """

    session_id: UUID
    session_title: str | None = None
    user_name: str | None = Field(default=None, description="The session's owner.")
    status: WorkerStatus
    status_since: datetime
    epoch: int
    host: str
    restored_at: datetime | None = None
    idle_since: datetime | None = None
    last_error: str | None = None
    sync: WorkerSync
    next_deadline: datetime | None = None
    next_step: NextStep | None = None


class Happened(Wire):
    """One event in its history: an event type, `restore.*`, or an operator's action."""

    at: datetime
    what: str
    detail: Json


class WorkerWhy(Wire):
    """The explanation of a worker's state. `blockedBy` names what the next step waits for.

    `owner` works on it now. `nextJob` handles it next, at `nextDeadline` or before. `history` is newest first. `code`
    is stable and names the sentence in `reason`.
    """

    session_id: UUID
    state: WorkerStatus
    blocked_by: list[str]
    owner: str | None = None
    next_deadline: datetime | None = None
    next_job: str | None = None
    reason: str
    code: str | None = None
    history: list[Happened]

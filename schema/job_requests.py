"""Requests that the API and the command line leave for the job worker (rows of `operations`): the arguments of each."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from schema.live_files import LiveFolderQuery, LiveHeadQuery, LiveSearchQuery
from schema.restore_plan import ConflictPolicy
from schema.wire import Json, Request, Text

ForceWord = Literal["lose-unsaved-changes"]
FORCE: ForceWord = "lose-unsaved-changes"
"""The word without which a worker with unsaved changes is never removed."""


class JobRequest(Request):
    """`kind` names the request in its row; schema/job_results.py declares what each answers.

    `is_forgotten`: its row is deleted once its result was read, because the result holds what people own.
    """

    kind: ClassVar[str]
    is_forgotten: ClassVar[bool] = False


class DrainQueue(JobRequest):
    kind: ClassVar[str] = "drain_queue"

    limit: int = Field(default=10, ge=1, le=1000)
    wait_seconds: float = Field(default=0, ge=0, le=300)


class ReconcileRuns(JobRequest):
    kind: ClassVar[str] = "reconcile_runs"


class ReconcileSyncs(JobRequest):
    kind: ClassVar[str] = "reconcile_syncs"


class PlanRestore(JobRequest):
    """`manifest` has been read before. `runtime_version` is compared instead of the worker's own."""

    kind: ClassVar[str] = "plan_restore"

    session_id: UUID
    manifest: Json
    runtime_version: str | None = None
    conflict_policy: ConflictPolicy = "keep_session"


class PutLiveFile(Request):
    """Bytes of a live file for the object store, from `start` up to `end`, while the file is this `version`."""

    path: Text
    version: Text
    start: int
    end: int


class ReadLiveFiles(JobRequest):
    """Read a session's live workspace: exactly one of the four."""

    kind: ClassVar[str] = "read_live_files"
    is_forgotten: ClassVar[bool] = True

    session_id: UUID
    folder: LiveFolderQuery | None = None
    search: LiveSearchQuery | None = None
    head: LiveHeadQuery | None = None
    put: PutLiveFile | None = None


class PlaceUploads(JobRequest):
    kind: ClassVar[str] = "place_uploads"

    session_id: UUID


class PutBackFiles(JobRequest):
    """Make `path` of the workspace as the snapshot has it. The user asks for it, whom event envelopes name `author`.

    `exact`: whether the snapshot holds the end of the run that the user named; None where no run was named."""

    kind: ClassVar[str] = "put_back_files"

    session_id: UUID
    user_id: UUID
    snapshot_id: UUID
    exact: bool | None = None
    path: Text
    when_missing: Literal["refuse", "remove"] = "refuse"
    author: Text


class WorkerRequest(JobRequest):
    """A request about the worker of one session. `actor` asks for it, as the audit log names people."""

    session_id: UUID
    actor: Text | None = Field(default=None, max_length=200)


class ActivateWorker(WorkerRequest):
    kind: ClassVar[str] = "activate_worker"


class SyncWorker(WorkerRequest):
    kind: ClassVar[str] = "sync_worker"


class RemoveWorker(WorkerRequest):
    """With `force`, `reason` is written down, and only the worker of this `epoch` is removed."""

    kind: ClassVar[str] = "remove_worker"

    epoch: int | None = None
    force: ForceWord | None = None
    reason: Text = Field(default="", max_length=1000)


class SweepRequest(JobRequest):
    """A request about all workers, or about that of one session, which then need not have reached its limit."""

    session_id: UUID | None = None
    actor: Text | None = Field(default=None, max_length=200)


class StopIdleWorkers(SweepRequest):
    kind: ClassVar[str] = "stop_idle_workers"


class RemoveStoppedWorkers(SweepRequest):
    kind: ClassVar[str] = "remove_stopped_workers"

"""Results of job requests: jobs produce them, routes parse and answer them. A planned restore is a PlanOutcome."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from schema.live_files import LiveHead, LiveItems
from schema.wire import Wire

ReconcileOutcome = Literal["adopted", "dispatched", "retried", "failed", "cancelled", "waiting"]


class LiveRefusal(Wire):
    """The executor's refusal of a path."""

    status: int
    code: str
    detail: str


class LiveFilesRead(Wire):
    """The live workspace's content at `as_of`; or `gone`, a sentence that says why nobody can read it."""

    as_of: datetime
    items: LiveItems | None = None
    head: LiveHead | None = None
    put_key: str | None = None
    refusal: LiveRefusal | None = None
    gone: str | None = None


class FilesPutBack(Wire):
    """`undo_snapshot_id` has the state before, `snapshot_id` the one after, unless that save is still to come."""

    undo_snapshot_id: UUID | None = None
    snapshot_id: UUID | None = None
    files: int = 0
    removed: int = 0
    bytes: int = 0
    refusal: LiveRefusal | None = None


class UploadsPlaced(Wire):
    """Paths of the uploads that the workspace got by this request."""

    paths: list[str] = Field(default_factory=list)


class QueueDrained(Wire):
    """`claimed` counts the runs that this call took, `started` those that an executor then had. The other counts say
    how those runs ended within the wait."""

    claimed: int = 0
    started: int = 0
    succeeded: int = 0
    retried: int = 0
    failed: int = 0
    canceled: int = 0


class ReconciledRun(Wire):
    """The action on one run, and its reason."""

    run_id: UUID
    action: ReconcileOutcome
    reason: str


class RunReconciliation(Wire):
    """Counts by what was done, and a reason for each run."""

    scanned: int = 0
    adopted: int = 0
    dispatched: int = 0
    retried: int = 0
    failed: int = 0
    cancelled: int = 0
    waiting: int = 0
    reasons: list[ReconciledRun] = Field(default_factory=list)


class ReconciledSync(Wire):
    """The action on the changes of one session, and its reason."""

    session_id: UUID
    action: Literal["asked", "syncing", "waiting"]
    reason: str


class SyncReconciliation(Wire):
    """Counts of sessions: `asked` to be saved now, `syncing` just now, `waiting` out the pause after a failure."""

    scanned: int = 0
    asked: int = 0
    syncing: int = 0
    waiting: int = 0
    reasons: list[ReconciledSync] = Field(default_factory=list)


class WorkerActivated(Wire):
    session_id: UUID
    status: Literal["active"] = "active"
    epoch: int


class WorkerSaved(Wire):
    """`snapshotId` holds the newest state; it is left out when there was nothing to save."""

    session_id: UUID
    snapshot_id: UUID | None = None


class SkippedWorker(Wire):
    """A worker that a sweep left as it was, and why."""

    session_id: UUID
    reason: str


class StopSweep(Wire):
    """`failed` counts the workers that should have stopped and did not; `skipped` names every worker that runs on, and
    why."""

    scanned: int = 0
    stopped: int = 0
    failed: int = 0
    skipped: list[SkippedWorker] = Field(default_factory=list)


class RemoveSweep(Wire):
    """`failed` counts the workers that should have been removed and were not; `skipped` names every worker that stays,
    and why."""

    scanned: int = 0
    removed: int = 0
    failed: int = 0
    skipped: list[SkippedWorker] = Field(default_factory=list)


class LostChanges(Wire):
    """The changes that a forced removal loses. `unsavedSteps` counts ends of tool calls, of messages and of runs in the
    session's log since the newest snapshot. Without a snapshot everything is lost."""

    is_anything: bool
    reason: str | None = None
    unsaved_since: datetime | None = None
    unsaved_steps: int = 0
    newest_snapshot: UUID | None = None


class WorkerRemoved(Wire):
    """`lost` is there after a forced removal."""

    session_id: UUID
    lost: LostChanges | None = None


class WorkerRemoval(WorkerRemoved):
    """The outcome of a removal: `kept` says why the worker was not removed."""

    kept: str | None = None

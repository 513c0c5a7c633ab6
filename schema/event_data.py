"""Give every type of event the model of its data, for clients; the log itself also holds types of newer executors."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from schema.events import (
    ConversationHandedOver,
    HumanApplied,
    HumanEscalated,
    HumanRequested,
    MessageDelta,
    MessageStop,
    Reason,
    RunFinished,
    RunStarted,
    RunWarning,
    TodoUpdate,
    ToolCall,
    Usage,
)
from schema.rows import RunStatus
from schema.wire import Json, Wire


class RunMoved(Wire):
    """A run's new status. `reason` when somebody other than the session's user caused it."""

    status: RunStatus
    provider: str
    reason: Reason | None = None


class RunQueued(RunMoved):
    """`bound`: something outside of Runyard drives the run."""

    prompt: str
    queue_position: int | None = None
    attachments: list[str] | None = None
    bound: bool | None = None


class RunQueueEdited(RunMoved):
    """The run's place in the queue, and what changed: `prompt`, `options`, or its place (`moved`)."""

    revision: int
    queue_position: int
    moved: bool
    prompt: str | None = None
    options: Json | None = None


class RunHeld(RunMoved):
    """A limit on live runs, a host without workers, or the end of the run before holds the run back. `message` explains
    which.

    `attempt_given_back`: this attempt ended before an agent started, and counts against no maximum.
    """

    held_by: str
    message: str
    attempt_given_back: bool | None = None


class RunRetrying(RunMoved):
    """`resuming`: the prompt may have reached the agent, so the next attempt continues its conversation."""

    attempt: int
    max_attempts: int
    resuming: bool


class RequestShown(HumanRequested):
    """A request as the log tells it: with its deadline, and the request that it replaces."""

    expires_at: datetime | None = None
    on_expiry: str | None = None
    replaces: UUID | None = None


class HumanResolved(Wire):
    """A request's decision. `by` is `user:<id>`, `rule:<id>@<version>`, `timeout` or `system`."""

    request_id: UUID
    decision: Literal["allow", "allow_always", "deny", "answer", "cancel"]
    by: str
    option_id: str | None = None
    reason: str | None = None
    answers: Json | None = None


class WorkerStarting(Wire):
    """The worker's start takes longer than a second. `reason` says who needs the worker."""

    reason: str


class WorkerReady(Wire):
    """A start that was reported as slow is done."""

    seconds: float


class WorkspaceRestoring(Wire):
    """A restore takes longer than a second. `done` counts bytes, of `bytes`, that are there."""

    files: int
    bytes: int
    done: int


class WorkspaceSyncing(Wire):
    """A save takes longer than a second. `reason` is as in `workspace.synced`."""

    reason: str


class WorkspaceRestored(Wire):
    """A restore is done. `changed` counts the files that it wrote."""

    files: int
    bytes: int
    changed: int
    seconds: float
    snapshot_id: UUID | None = None


class WorkspaceUploaded(Wire):
    """A user's upload is in the workspace; `path` is below it."""

    path: str
    size: int
    mime_type: str


class WorkspacePutBack(Wire):
    """A user put a path of an older snapshot back. `undoSnapshotId` has the state before. `files` were written,
    `removed` were deleted. `exact` is told where a run was named: false when its own end is not saved, as `exactNote`
    says."""

    path: str
    from_snapshot_id: UUID
    undo_snapshot_id: UUID
    exact: bool | None = None
    exact_note: str | None = None
    files: int
    removed: int
    bytes: int


class WorkspaceSynced(WorkspaceRestored):
    """A save is done. `runNumber` counts the session's runs from 1, up to the saved one. `skipped` counts paths."""

    reason: str
    skipped: int
    run_id: UUID | None = None
    run_number: int | None = None


class WorkspaceSyncFailed(Wire):
    """A save failed; it is tried again at `nextSyncAt`. `failures` counts in a row."""

    code: str
    reason: str
    failures: int
    next_sync_at: datetime


DATA_OF: dict[str, type[Wire]] = {
    "run.queued": RunQueued,
    "run.queue_edited": RunQueueEdited,
    "run.held": RunHeld,
    "run.started": RunStarted,
    "run.waiting": RunMoved,
    "run.parked": RunMoved,
    "run.resumed": RunMoved,
    "run.retrying": RunRetrying,
    "run.cancelling": RunMoved,
    "run.warning": RunWarning,
    "run.finished": RunFinished,
    "message.delta": MessageDelta,
    "message.stop": MessageStop,
    "tool.call": ToolCall,
    "tool.update": ToolCall,
    "todo.update": TodoUpdate,
    "human_loop.requested": RequestShown,
    "human_loop.resolved": HumanResolved,
    "human_loop.escalated": HumanEscalated,
    "human_loop.applied": HumanApplied,
    "usage.update": Usage,
    "conversation.handed_over": ConversationHandedOver,
    "worker.starting": WorkerStarting,
    "worker.ready": WorkerReady,
    "workspace.restoring": WorkspaceRestoring,
    "workspace.restored": WorkspaceRestored,
    "workspace.put_back": WorkspacePutBack,
    "workspace.uploaded": WorkspaceUploaded,
    "workspace.syncing": WorkspaceSyncing,
    "workspace.synced": WorkspaceSynced,
    "workspace.sync_failed": WorkspaceSyncFailed,
}

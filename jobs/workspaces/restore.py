"""Restore a session's workspace to a new volume, and have the executor verify the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar
from uuid import UUID

import structlog

from handlers.workers.activate import BegunActivation, Restoring, restore_failed, restored
from handlers.workspaces.restore_plan import Snapshot, make_plan
from handlers.workspaces.tree import TreeEntry, entries_of
from jobs.context import TaskContext
from jobs.object_store.contract import ObjectStorage
from jobs.runtime.executor_client import Endpoint
from jobs.runtime.late_events import LateWork, reporting_when_late
from jobs.runtime.trace import Trace
from jobs.workspaces.sync_operation import OperationFailed, OperationRequest, await_operation
from schema.errors import RunyardError, Unavailable, WorkspaceRefused
from schema.object_keys import is_content_key, manifest_key
from schema.restore_plan import RestorePlan
from schema.rows import SnapshotRow
from schema.runtime_manifest import RuntimeManifest
from schema.snapshot_manifest import Manifest, read_snapshot_manifest
from schema.sql import fetch_the
from schema.wire import Json
from schema.workspace_api import Progress, RestoreReceipt, RestoreWorkspace, Want

PROGRESS_SECONDS = 2.0
RESTORING = "workspace.restoring"

_log = structlog.stdlib.get_logger(__name__)


class RestoreIncomplete(Unavailable):
    """The session's workspace could not be restored."""

    code: ClassVar[str] = "restore_incomplete"


def restore(
    context: TaskContext,
    trace: Trace,
    endpoint: Endpoint,
    activation: BegunActivation,
    restoring: Restoring,
    *,
    run_id: UUID | None,
) -> None:
    """Restore the workspace. Raise RestoreIncomplete when a retry may help, WorkspaceRefused when it cannot."""
    _log.info("restore.begun", snapshotId=str(restoring.snapshot_id), epoch=activation.epoch)
    try:
        snapshot = _snapshot(context, trace.session_id, restoring)
        progress = _RestoreProgress(snapshot)
        with reporting_when_late(context.database, trace.session_id, RESTORING, progress.data) as work:
            receipt = _receipt(context, trace, endpoint, activation, snapshot, partial(progress.take, work))
    except WorkspaceRefused as error:
        context.database.transact(restore_failed, restoring, error=error.detail)
        raise
    except RunyardError as error:
        _log.warning("restore.failed", code=error.problem_code, why=error.detail)
        context.database.transact(restore_failed, restoring, error=error.detail)
        raise RestoreIncomplete(
            f"The workspace could not be restored: {error.detail} The snapshot is unchanged. Try again, or have an"
            " operator look at the object store and the worker."
        ) from None
    context.database.transact(restored, trace.session_id, restoring, receipt, run_id=run_id)
    _log.info("restore.done", files=receipt.files, bytes=receipt.bytes, seconds=receipt.seconds)


def require_store(context: TaskContext, restoring: Restoring) -> None:
    """Fail a restore before a worker is started for it. Raise RestoreIncomplete while the store does not answer."""
    fault = None if restoring.snapshot_id is None else context.store_condition.fault()
    if fault is not None:
        context.database.transact(restore_failed, restoring, error=fault)
        raise RestoreIncomplete(f"The workspace cannot be restored now: {fault} The snapshot is unchanged.")


class _RestoreProgress:
    """The progress of a restore, as its readers hear of it: at most every PROGRESS_SECONDS."""

    def __init__(self, snapshot: SnapshotRow | None) -> None:
        self._snapshot = snapshot
        self._done = self._reported = 0
        self._reported_at = 0.0

    def data(self) -> Json:
        """Return the event's data of now. `done` counts the bytes of `bytes` that are there."""
        self._reported, self._reported_at = self._done, time.monotonic()
        total = (self._snapshot.files, self._snapshot.bytes) if self._snapshot else (0, 0)
        return {"files": total[0], "bytes": total[1], "done": self._done}

    def take(self, work: LateWork, progress: Progress) -> None:
        self._done = progress.bytes
        if (
            work.is_reported
            and self._done != self._reported
            and time.monotonic() - self._reported_at >= PROGRESS_SECONDS
        ):
            work.report(RESTORING, self.data())


def _receipt(
    context: TaskContext,
    trace: Trace,
    endpoint: Endpoint,
    activation: BegunActivation,
    snapshot: SnapshotRow | None,
    on_progress: Callable[[Progress], None],
) -> RestoreReceipt:
    session_id = trace.session_id
    request = RestoreWorkspace(
        session_id=session_id,
        epoch=activation.epoch,
        snapshot_id=snapshot.id if snapshot else None,
        manifest_digest=snapshot.manifest_digest if snapshot else None,
        plan=_plan(context, endpoint, activation.manifest, snapshot).to_json(),
    )
    operation_request = OperationRequest(
        endpoint=endpoint,
        trace=trace,
        start=lambda: context.executors.restore(endpoint, request, trace),
        may_have=lambda want: may_have(session_id, snapshot.id if snapshot else None, want),
        is_held=lambda: True,  # this job holds the worker's lock
        on_progress=on_progress,
        poll_seconds=PROGRESS_SECONDS,
    )
    state = await_operation(context, _store(context) if snapshot else None, operation_request)
    if state.restore is None:
        raise OperationFailed("The executor reported a restore without its receipt.")
    return state.restore


def _snapshot(context: TaskContext, session_id: UUID, restoring: Restoring) -> SnapshotRow | None:
    if restoring.snapshot_id is None:
        return None
    return context.database.transact(
        fetch_the, "snapshot", SnapshotRow, session_id=session_id, snapshot_id=restoring.snapshot_id
    )


def _plan(
    context: TaskContext, endpoint: Endpoint, manifest: RuntimeManifest, snapshot: SnapshotRow | None
) -> RestorePlan:
    version = context.executors.health(endpoint.base_url).runtime_version if manifest.runtime_version else None
    saved = None
    if snapshot is not None:
        saved = Snapshot(snapshot.id, list(saved_entries(context, snapshot)) if _asks_for_paths(manifest) else ())
    return make_plan(manifest, runtime_version=version, snapshot=saved, existing=None)


def _asks_for_paths(manifest: RuntimeManifest) -> bool:
    """Whether the plan needs the snapshot's entries. Otherwise it restores all, without reading the manifest."""
    return any((manifest.seed_files, manifest.mount_points, manifest.cleanup_rules, manifest.required_paths))


def saved_entries(context: TaskContext, snapshot: SnapshotRow) -> Iterator[TreeEntry]:
    return entries_of(read_manifest(context, snapshot))


def read_manifest(context: TaskContext, snapshot: SnapshotRow) -> Manifest:
    """Read and check the snapshot's manifest."""
    data = _store(context).read(manifest_key(snapshot.session_id, snapshot.id))
    return read_snapshot_manifest(
        data, session_id=snapshot.session_id, snapshot_id=snapshot.id, digest=snapshot.manifest_digest
    )


def may_have(session_id: UUID, snapshot_id: UUID | None, want: Want) -> bool:
    """Whether an operation that restores from the snapshot may get this link."""
    if want.method != "GET":
        return False
    if snapshot_id is not None and want.key == manifest_key(session_id, snapshot_id):
        return True
    return is_content_key(session_id, want.key)


def _store(context: TaskContext) -> ObjectStorage:
    if context.store is None:
        raise Unavailable("No object store is configured to restore from. Set S3_BUCKET.", code="no_object_store")
    return context.store

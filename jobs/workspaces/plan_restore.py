"""`plan_restore`: dry-run a restore for a session with a worker or a snapshot.

With an active worker, the plan uses the worker's files. Without a worker, it uses the session's newest snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass

from handlers.workers.rows import worker_of
from handlers.workspaces.restore_plan import Snapshot, make_plan
from handlers.workspaces.tree import EntryKind, TreeEntry
from jobs.context import TaskContext
from jobs.runtime.executor_client import Endpoint
from jobs.runtime.trace import Trace
from jobs.workspaces.restore import saved_entries
from jobs.workspaces.validate import look_for
from schema.errors import WorkspaceRefused
from schema.job_requests import PlanRestore
from schema.paths import ROOTS, located
from schema.restore_plan import PlanOutcome, RestorePlan
from schema.rows import SnapshotRow, WorkerRow
from schema.runtime_manifest import RuntimeManifest, read_runtime_manifest
from schema.sql import fetch_one
from schema.wire import Json

_KINDS: dict[str, EntryKind] = {"folder": "folder", "file": "file"}


@dataclass(frozen=True)
class _Seen:
    """The existing entries, the executor's version when it answered, and the snapshot when it was used."""

    existing: list[TreeEntry]
    version: str | None = None
    snapshot: Snapshot | None = None


def plan_restore(context: TaskContext, request: PlanRestore) -> PlanOutcome:
    """Return the plan, or the reason of its refusal. Raise ExecutorError and the object store's errors."""
    manifest = read_runtime_manifest(request.manifest)
    try:
        plan = _plan(context, request, manifest)
    except WorkspaceRefused as refusal:
        return PlanOutcome(ok=False, reason=refusal.problem_code, detail=refusal.detail, paths=refusal.paths)
    return PlanOutcome(ok=True, plan=plan.shown())


def _plan(context: TaskContext, request: PlanRestore, manifest: RuntimeManifest) -> RestorePlan:
    worker = context.database.transact(worker_of, request.session_id)
    endpoint = context.host.facts(request.session_id).endpoint if worker and worker.status == "active" else None
    if worker is not None and endpoint is not None:
        seen = _in_worker(context, worker, endpoint, manifest)
    else:
        seen = _in_snapshot(context, worker)
    return make_plan(
        manifest,
        runtime_version=request.runtime_version or seen.version,
        snapshot=seen.snapshot,
        existing=seen.existing,
        conflict_policy=request.conflict_policy,
    )


def _in_worker(context: TaskContext, worker: WorkerRow, endpoint: Endpoint, manifest: RuntimeManifest) -> _Seen:
    """Ask the executor for the manifest's paths. Cleanup rules also need the entries of the last snapshot."""
    named = [*manifest.seed_files, *manifest.mount_points, *manifest.required_paths, *manifest.protected_paths]
    paths = sorted({path.absolute for path in named})
    trace = Trace(session_id=worker.session_id, epoch=worker.epoch)
    look = look_for(context, endpoint, paths, trace)
    kinds: Json = look.found.get("paths") or {}
    there = [
        TreeEntry(*located(path), _KINDS.get(str(kind), "other"))
        for path, kind in kinds.items()
        if path not in ROOTS.values()
    ]
    gone = {located(path) for path in look.missing}
    request = gone | {(entry.root, entry.path) for entry in there}
    saved = _saved(context, worker) if manifest.cleanup_rules else None
    others = [entry for entry in (saved.entries if saved else ()) if (entry.root, entry.path) not in request]
    return _Seen(existing=[*there, *others], version=str(look.found.get("runtimeVersion")))


def _in_snapshot(context: TaskContext, worker: WorkerRow | None) -> _Seen:
    return _Seen(existing=[], snapshot=_saved(context, worker))


def _saved(context: TaskContext, worker: WorkerRow | None) -> Snapshot | None:
    if worker is None or worker.head_snapshot is None:
        return None
    row = context.database.transact(
        fetch_one, "snapshot", SnapshotRow, session_id=worker.session_id, snapshot_id=worker.head_snapshot
    )
    return None if row is None else Snapshot(row.id, list(saved_entries(context, row)))

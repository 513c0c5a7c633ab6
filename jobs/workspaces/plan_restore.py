"""`plan_restore`: the dry run of a restore, for a session with a worker or a snapshot to look into.

A worker that is there is asked what it has; without one, the session's newest snapshot is what would come back.
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
from schema.paths import PLACES, located
from schema.restore_plan import PlanOutcome, RestorePlan
from schema.rows import SnapshotRow, WorkerRow
from schema.runtime_manifest import RuntimeManifest, read_runtime_manifest
from schema.sql import fetch_one
from schema.wire import Json

_KINDS: dict[str, EntryKind] = {"folder": "folder", "file": "file"}


@dataclass(frozen=True)
class _Seen:
    """What is there already and what the executor's version is, as far as anybody could be asked."""

    existing: list[TreeEntry]
    version: str | None = None
    snapshot: Snapshot | None = None


def plan_restore(context: TaskContext, asked: PlanRestore) -> PlanOutcome:
    """Raises ExecutorError, and what the object store raises."""
    manifest = read_runtime_manifest(asked.manifest)
    try:
        plan = _plan(context, asked, manifest)
    except WorkspaceRefused as refusal:
        return PlanOutcome(ok=False, reason=refusal.problem_code, detail=refusal.detail, paths=refusal.paths)
    return PlanOutcome(ok=True, plan=plan.shown())


def _plan(context: TaskContext, asked: PlanRestore, manifest: RuntimeManifest) -> RestorePlan:
    worker = context.database.transact(worker_of, asked.session_id)
    endpoint = context.host.facts(asked.session_id).endpoint if worker and worker.status == "active" else None
    if worker is not None and endpoint is not None:
        seen = _in_worker(context, worker, endpoint, manifest)
    else:
        seen = _in_snapshot(context, worker)
    return make_plan(
        manifest,
        runtime_version=asked.runtime_version or seen.version,
        snapshot=seen.snapshot,
        existing=seen.existing,
        conflict_policy=asked.conflict_policy,
    )


def _in_worker(context: TaskContext, worker: WorkerRow, endpoint: Endpoint, manifest: RuntimeManifest) -> _Seen:
    """What the manifest names is looked for; what else a cleanup rule may meet is known from the last snapshot."""
    named = [*manifest.seed_files, *manifest.mount_points, *manifest.required_paths, *manifest.protected_paths]
    paths = sorted({path.absolute for path in named})
    trace = Trace(session_id=worker.session_id, epoch=worker.epoch)
    found = look_for(context, endpoint, paths, trace)
    kinds: Json = found.found.get("paths") or {}
    there = [
        TreeEntry(*located(path), _KINDS.get(str(kind), "other"))
        for path, kind in kinds.items()
        if path not in PLACES.values()
    ]
    gone = {located(path) for path in found.missing}
    asked = gone | {(each.root, each.path) for each in there}
    saved = _saved(context, worker) if manifest.cleanup_rules else None
    others = [each for each in (saved.entries if saved else ()) if (each.root, each.path) not in asked]
    return _Seen(existing=[*there, *others], version=str(found.found.get("runtimeVersion")))


def _in_snapshot(context: TaskContext, worker: WorkerRow | None) -> _Seen:
    return _Seen(existing=[], snapshot=_saved(context, worker))


def _saved(context: TaskContext, worker: WorkerRow | None) -> Snapshot | None:
    if worker is None or worker.head_snapshot is None:
        return None
    row = context.database.transact(
        fetch_one, "snapshot", SnapshotRow, session_id=worker.session_id, snapshot_id=worker.head_snapshot
    )
    return None if row is None else Snapshot(row.id, list(saved_entries(context, row)))

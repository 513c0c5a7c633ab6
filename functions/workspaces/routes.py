"""List a session's snapshots and restores; sync overdue changes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from functions.http.auth import actor, permission
from functions.http.job_requests import perform
from functions.http.parsing import page_cursor, read_page_cursor
from functions.http.schemas import Nothing, PageQuery, answer
from functions.runtime.process import api_process
from handlers.workspaces.snapshots import restores_of, snapshot_for, snapshots_of
from schema.job_requests import ReconcileSyncs
from schema.job_results import SyncReconciliation
from schema.rows import RestoreRow, SnapshotRow
from schema.wire import Json, Wire
from schema.workspace_api import Skipped, SyncReason

snapshots = APIBlueprint("snapshots", __name__, tag="Saved workspaces")


class SnapshotAnswer(Wire):
    """A snapshot of a session. `changed` counts the paths that differ from the previous snapshot."""

    snapshot_id: UUID
    number: int
    run_id: UUID | None = None
    reason: SyncReason
    files: int
    bytes: int
    changed: int
    created_at: datetime
    skipped: list[Skipped] = Field(description="The first paths that the snapshot lacks, each with its reason.")


class SnapshotsAnswer(Wire):
    items: list[SnapshotAnswer]
    next_cursor: str | None = None


class SnapshotDetailAnswer(SnapshotAnswer):
    """`seq`: the snapshot includes every effect up to this event of the session. `atRest`: no agent was at work, so the
    snapshot includes the agent's home as it was, not as in the previous snapshot."""

    epoch: int
    seq: int
    at_rest: bool
    uploaded_bytes: int
    objects: int
    manifest_digest: str


class RestoreAnswer(Wire):
    restore_id: UUID
    epoch: int
    snapshot_id: UUID | None = None
    state: str
    receipt: Json | None = None
    error: str | None = None
    started_at: datetime
    finished_at: datetime | None = None


class RestoresAnswer(Wire):
    items: list[RestoreAnswer]
    next_cursor: str | None = None


@snapshots.get("/api/sessions/<uuid:session_id>/snapshots")
@permission("snapshots:read")
@snapshots.input(PageQuery, location="query")
@snapshots.output(SnapshotsAnswer)
def list_snapshots(session_id: UUID, query_data: PageQuery) -> Response:
    """List a session's snapshots, newest first"""
    before, limit = read_page_cursor(query_data.cursor), query_data.limit
    with api_process().transaction() as conn:
        snapshots = snapshots_of(conn, actor(), session_id, before=before, limit=limit)
    cursor = page_cursor(snapshots[-1].created_at, snapshots[-1].id) if len(snapshots) == limit else None
    return answer(SnapshotsAnswer(items=[_snapshot(snapshot) for snapshot in snapshots], next_cursor=cursor))


@snapshots.get("/api/sessions/<uuid:session_id>/snapshots/<uuid:snapshot_id>")
@permission("snapshots:read")
@snapshots.output(SnapshotDetailAnswer)
def get_snapshot(session_id: UUID, snapshot_id: UUID) -> Response:
    """Show a snapshot"""
    with api_process().transaction() as conn:
        snapshot = snapshot_for(conn, actor(), session_id, snapshot_id)
    return answer(_detail(snapshot))


@snapshots.get("/api/sessions/<uuid:session_id>/restores")
@permission("snapshots:read")
@snapshots.input(PageQuery, location="query")
@snapshots.output(RestoresAnswer)
def list_restores(session_id: UUID, query_data: PageQuery) -> Response:
    """List restores into a session's workspace, newest first, each with its receipt"""
    before, limit = read_page_cursor(query_data.cursor), query_data.limit
    with api_process().transaction() as conn:
        restores = restores_of(conn, actor(), session_id, before=before, limit=limit)
    cursor = page_cursor(restores[-1].started_at, restores[-1].id) if len(restores) == limit else None
    return answer(RestoresAnswer(items=[_restore(restore) for restore in restores], next_cursor=cursor))


@snapshots.post("/api/reconcile/sync")
@permission("reconcile")
@snapshots.input(Nothing)
@snapshots.output(SyncReconciliation)
def reconcile_syncs(json_data: Nothing) -> Response:  # noqa: ARG001
    """Sync sessions whose changes have waited for too long

    503 `job_worker_unavailable`: no job worker took the request.
    """
    return perform(ReconcileSyncs(), SyncReconciliation, wait_seconds=0)


def _snapshot(row: SnapshotRow) -> SnapshotAnswer:
    return SnapshotAnswer(
        snapshot_id=row.id,
        number=row.number,
        run_id=row.run_id,
        reason=row.reason,
        files=row.files,
        bytes=row.bytes,
        changed=row.changed,
        created_at=row.created_at,
        skipped=[Skipped.model_validate(skipped) for skipped in row.skipped],
    )


def _detail(row: SnapshotRow) -> SnapshotDetailAnswer:
    return SnapshotDetailAnswer(
        **_snapshot(row).model_dump(),
        epoch=row.epoch,
        seq=row.seq,
        at_rest=row.at_rest,
        uploaded_bytes=row.uploaded_bytes,
        objects=len(row.objects),
        manifest_digest=row.manifest_digest,
    )


def _restore(row: RestoreRow) -> RestoreAnswer:
    return RestoreAnswer(
        restore_id=row.id,
        epoch=row.epoch,
        snapshot_id=row.snapshot_id,
        state=row.state,
        receipt=row.receipt,
        error=row.error,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )

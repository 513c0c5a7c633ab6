"""Record a worker's activation: its epoch, its restore, and the loss of its volume.

Callers hold the worker's lock, so that no epoch begins twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from handlers.event_log import NewEvent, append, hold_session
from handlers.runs.parking import lose_attempt
from handlers.runs.settle import RetryPolicy
from handlers.workspaces.sync import forget_unsaved, unsaved
from schema.errors import NotFound
from schema.rows import RunRow, WorkerStatus
from schema.runtime_manifest import RuntimeManifest, read_runtime_manifest
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_value, jsonb
from schema.wire import Json, rfc3339
from schema.workspace_api import RestoreReceipt

GONE_CODES = frozenset({"unsaved", "never_saved"})


@dataclass(frozen=True)
class Restoring:
    """A restore into the volume before anything runs in it; `snapshot_id` None when the session has no snapshot."""

    restore_id: UUID
    snapshot_id: UUID | None


@dataclass(frozen=True)
class BegunActivation:
    """A starting worker: the epoch of its volume, its app's manifest, and its restore, if any."""

    epoch: int
    manifest: RuntimeManifest
    restoring: Restoring | None


@dataclass(frozen=True)
class _Activation:
    session_id: UUID
    epoch: int
    last_seq: int
    manifest: Json
    worker_epoch: int | None
    status: WorkerStatus | None
    restored_at: datetime | None
    head_snapshot: UUID | None
    dirty_since: datetime | None


def begin_activation(
    conn: Conn, session_id: UUID, *, host: str, has_volume: Callable[[int], bool], retry: RetryPolicy, why: str
) -> BegunActivation:
    """Record that the worker is starting. If its volume is gone, begin a new epoch; a session's first volume belongs to
    the session's present epoch."""
    activation = _activation_of(conn, session_id)
    if activation.status is not None and not has_volume(activation.epoch):
        _begin_epoch(conn, activation, retry)
        activation = _activation_of(conn, session_id)
    execute(conn, "worker_starting", session_id=session_id, epoch=activation.epoch, host=host, why=why)
    is_restored = activation.restored_at is not None and activation.worker_epoch == activation.epoch
    manifest = read_runtime_manifest(activation.manifest)
    if is_restored or (activation.head_snapshot is None and not _brings_anything(manifest)):
        return BegunActivation(activation.epoch, manifest, None)
    return BegunActivation(activation.epoch, manifest, _begin_restore(conn, activation))


def require_session(conn: Conn, session_id: UUID) -> None:
    """Raise NotFound when there is no session to activate a worker for."""
    _activation_of(conn, session_id)


def worker_active(conn: Conn, session_id: UUID, *, epoch: int, base_url: str, key_id: str | None) -> bool:
    """Record that the executor answers and its volume is restored. Return False when the session has a newer epoch.

    `key_id` names the secret key of the executor's token; None for a token that someone else made.
    """
    active = execute(conn, "worker_active", session_id=session_id, epoch=epoch, base_url=base_url, key_id=key_id)
    return active == 1


def worker_used(conn: Conn, session_id: UUID) -> None:
    execute(conn, "worker_used", session_id=session_id)


def restored(
    conn: Conn, session_id: UUID, restoring: Restoring, receipt: RestoreReceipt, *, run_id: UUID | None
) -> None:
    """Record the finished restore and log it. `run_id`: the run that waited for it."""
    _finish(conn, restoring, state="done", receipt=receipt.to_json())
    data: Json = {
        "files": receipt.files,
        "bytes": receipt.bytes,
        "changed": receipt.files,
        "seconds": round(receipt.seconds, 3),
    }
    if restoring.snapshot_id is not None:
        data["snapshotId"] = str(restoring.snapshot_id)
    event = NewEvent(type="workspace.restored", data=data, run_id=run_id)
    append(conn, hold_session(conn, session_id), [event])


def restore_failed(conn: Conn, restoring: Restoring, *, error: str) -> None:
    _finish(conn, restoring, state="failed", error=error)


def _activation_of(conn: Conn, session_id: UUID) -> _Activation:
    activation = fetch_one(conn, "activation_of", _Activation, session_id=session_id)
    if activation is None:
        raise NotFound("There is no such session.", code="unknown_session")
    return activation


def _brings_anything(manifest: RuntimeManifest) -> bool:
    return bool(manifest.seed_files or manifest.mount_points or manifest.cleanup_rules)


def _begin_epoch(conn: Conn, activation: _Activation, retry: RetryPolicy) -> None:
    """Begin an epoch: the previous epoch's requests are refused from now on, and its unsaved changes are lost."""
    head = hold_session(conn, activation.session_id)
    runs = fetch_all(conn, "run_of_lost_volume", RunRow, session_id=activation.session_id)
    events = _missing_changes_warning(conn, activation, runs)
    for run in runs:
        message = "The run's worker and its volume are gone."
        events += lose_attempt(conn, run, retry, code="workspace_lost", message=message)
    epoch: int = fetch_value(conn, "next_epoch", session_id=activation.session_id)
    execute(conn, "run_follows_epoch", session_id=activation.session_id, epoch=epoch)
    forget_unsaved(conn, activation.session_id)
    append(conn, replace(head, epoch=epoch), events)


def _missing_changes_warning(conn: Conn, activation: _Activation, runs: list[RunRow]) -> list[NewEvent]:
    """Return a warning for the session; nothing when everything was saved."""
    why = unsaved(conn, activation.session_id)
    is_unsaved = activation.dirty_since is not None or (why is not None and why.code in GONE_CODES)
    if not (is_unsaved or any(run.prompt_delivered for run in runs)):
        return []
    since = activation.dirty_since or min((run.started_at for run in runs if run.started_at), default=None)
    from_then = f" Changes since {rfc3339(since)} may be missing." if since else ""
    last = (
        "Runyard restores the newest snapshot"
        if activation.head_snapshot
        else "no snapshot exists, so the workspace starts empty"
    )
    data: Json = {
        "code": "workspace_may_miss_changes",
        "message": f"This session's volume is gone; {last}.{from_then}",
    }
    if since:
        data["since"] = rfc3339(since)
    if activation.head_snapshot:
        data["snapshotId"] = str(activation.head_snapshot)
    return [NewEvent(type="run.warning", data=data)]


def _begin_restore(conn: Conn, activation: _Activation) -> Restoring:
    execute(conn, "give_up_restores", session_id=activation.session_id)
    restore_id: UUID = fetch_value(
        conn,
        "begin_restore",
        session_id=activation.session_id,
        epoch=activation.epoch,
        snapshot_id=activation.head_snapshot,
    )
    return Restoring(restore_id, activation.head_snapshot)


def _finish(
    conn: Conn, restoring: Restoring, *, state: str, receipt: Json | None = None, error: str | None = None
) -> None:
    stored = None if receipt is None else jsonb(receipt)
    execute(conn, "finish_restore", restore_id=restoring.restore_id, state=state, receipt=stored, error=error)

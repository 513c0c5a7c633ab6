"""Sync a session's workspace: track unsaved changes, lease the right to sync, and record outcomes.

One sync lease exists per session; its claim number fences older holders. A change is known by its number in the
session's log: a sync includes every change up to the log's end at the start of its scan.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from handlers.event_log import append_of_worker, hold_session
from handlers.workspaces.land_snapshot import as_end, land_snapshot
from handlers.workspaces.snapshots import saved_end
from handlers.workspaces.sync_events import log_secrets, log_synced
from schema.errors import Unavailable
from schema.rows import RunRow, SavingRow, SnapshotRow
from schema.sql import Conn, execute, fetch_all, fetch_one
from schema.wire import Json, rfc3339
from schema.workspace_api import SyncReason, SyncReceipt

COALESCE_SECONDS = 2.0
"""How long a sync requested by a message waits for further messages."""
_NO_VOLUME = frozenset({"absent", "starting"})


@dataclass(frozen=True)
class SyncLease:
    """The right to sync one session; void once a lease with a higher claim exists."""

    session_id: UUID
    claim: int


@dataclass(frozen=True, kw_only=True)
class BegunSync:
    """A sync whose scan may begin, with the state that must still hold at its commit. `saved_end` is the run whose end
    `head` holds. `unsaved_seconds`: how long changes have waited since the last sync."""

    lease: SyncLease
    epoch: int
    reason: SyncReason
    seq: int
    at_rest: bool
    run_id: UUID | None
    head: SnapshotRow | None
    saved_end: UUID | None
    traceparent: str | None
    manifest: Json
    unsaved_seconds: float


@dataclass(frozen=True)
class Committed:
    """`snapshot_id` is the newest snapshot; `is_covering`: no changes are unsaved.

    It holds the changes up to `seq`. `is_end`: it is the kept end of a run, so that later states are still to be saved.
    """

    snapshot_id: UUID
    is_covering: bool
    seq: int
    is_end: bool


@dataclass(frozen=True)
class Pauses:
    """Seconds between failed syncs: the first pause, doubled each time up to the longest."""

    first_seconds: float = 5.0
    longest_seconds: float = 600.0


@dataclass(frozen=True)
class Failed:
    """The number of failures in a row, and the time of the next try."""

    failures: int
    next_sync_at: datetime


@dataclass(frozen=True)
class UnsavedReason:
    """Why a worker may not be stopped or removed: `code` is stable, `message` a sentence."""

    code: Literal["live_run", "syncing", "unsaved", "not_whole", "never_saved"]
    message: str


def mark_dirty(conn: Conn, run: RunRow, *, within_seconds: float | None = None) -> None:
    """Mark the run's changes since its last event as unsaved; sync them within the time, or with the next sync. The
    caller has locked the session. A bound run has no workspace here."""
    if run.bound or run.attempt == 0:
        return
    was_heard = run.lease_expires_at is not None or run.prompt_delivered
    execute(conn, "mark_dirty", session_id=run.session_id, within_seconds=within_seconds, was_heard=was_heard)


def make_sync_due(conn: Conn, session_id: UUID) -> None:
    """Make unsaved changes due for a sync at once: the session's agent has ended for now."""
    execute(conn, "make_sync_due", session_id=session_id)


def take_due_sync_leases(conn: Conn, *, owner: str, lock_seconds: float, at_once: int) -> list[SyncLease]:
    """Take the leases of sessions whose sync is due; the owner holds at most `at_once` leases. Safe to call
    concurrently."""
    return fetch_all(conn, "take_due_sync_leases", SyncLease, owner=owner, lock_seconds=lock_seconds, at_once=at_once)


def take_sync_lease(conn: Conn, session_id: UUID, *, owner: str, lock_seconds: float) -> SyncLease | None:
    """Take this session's lease; None while another holds it, or when the session has no worker."""
    return fetch_one(conn, "take_sync_lease", SyncLease, session_id=session_id, owner=owner, lock_seconds=lock_seconds)


def renew_sync_lease(conn: Conn, lease: SyncLease, *, lock_seconds: float) -> bool:
    """Renew the lease; return False if another holds it by now."""
    return bool(
        execute(conn, "renew_sync_lease", session_id=lease.session_id, claim=lease.claim, lock_seconds=lock_seconds)
    )


def end_sync_lease(conn: Conn, lease: SyncLease, *, again_in_seconds: float | None = None) -> None:
    """Release the lease; the next sync is due after `again_in_seconds`, if given."""
    execute(conn, "end_sync_lease", session_id=lease.session_id, claim=lease.claim, again_in_seconds=again_in_seconds)


def orphaned_sync_leases(conn: Conn) -> list[SyncLease]:
    """Return leases whose job worker has no presence mark."""
    return fetch_all(conn, "orphaned_sync_leases", SyncLease)


def expire_sync_leases(conn: Conn, leases: Collection[SyncLease]) -> None:
    """Expire leases of vanished job workers, so that any other job worker may take them."""
    for lease in leases:
        execute(conn, "expire_sync_lease", session_id=lease.session_id, claim=lease.claim)


def saving_state(conn: Conn, session_id: UUID) -> SavingRow | None:
    """Return the session's sync state; None when it never had a worker."""
    return fetch_one(conn, "saving_state", SavingRow, session_id=session_id)


def unsaved(conn: Conn, session_id: UUID) -> UnsavedReason | None:
    """Return why the worker must stay; None when all of its data is saved. It gates stop and removal.

    A caller that acts on the answer locks the session and changes the worker's status in the same transaction.
    """
    state = saving_state(conn, session_id)
    return None if state is None else why_unsaved(state)


def is_saved(conn: Conn, session_id: UUID) -> bool:
    return unsaved(conn, session_id) is None


def why_unsaved(state: SavingRow) -> UnsavedReason | None:
    """Decide `unsaved` from the row. Pure."""
    if state.status == "absent":
        return None
    if state.live_run_id is not None:
        return UnsavedReason("live_run", "A run is using the worker.")
    if state.is_syncing:
        return UnsavedReason("syncing", "A sync of the worker is running.")
    if state.dirty_since is not None:
        error = f" The last sync failed: {state.sync_error}" if state.sync_error else ""
        return UnsavedReason("unsaved", f"The worker has unsaved changes.{error}")
    if state.dirty_seq > 0 and state.head_seq is None:
        return UnsavedReason("never_saved", "Runs have used the worker, but it has never been synced.")
    if state.dirty_seq > 0 and not (state.head_at_rest and (state.head_seq or 0) >= state.dirty_seq):
        return UnsavedReason("unsaved", "The newest snapshot began before the last run was quiesced.")
    return None


def begin_sync(
    conn: Conn, lease: SyncLease, *, owner: str, lock_seconds: float, reason: SyncReason | None = None
) -> BegunSync | UnsavedReason | None:
    """Begin this lease's sync; its scan starts after the commit. Return an UnsavedReason when it cannot begin now; None
    when another holds the lease, or nothing is unsaved and no `reason` asks for a sync anyway."""
    hold_session(conn, lease.session_id)
    state = saving_state(conn, lease.session_id)
    if state is None or not state.is_claimed or state.sync_claim != lease.claim:
        return None
    if state.status in _NO_VOLUME or (state.dirty_since is None and reason is None):
        end_sync_lease(conn, lease)
        return None
    if state.epoch != state.session_epoch or not state.is_restored:
        return UnsavedReason("not_whole", "The workspace was not completely restored, so it must not be synced.")
    execute(
        conn, "begin_sync_lease", session_id=lease.session_id, claim=lease.claim, owner=owner, lock_seconds=lock_seconds
    )
    return BegunSync(
        lease=lease,
        epoch=state.epoch,
        reason=reason or ("message" if state.live_run_id else "run"),
        seq=state.last_seq,
        at_rest=state.live_run_id is None,
        run_id=state.run_id,
        head=_head(conn, state),
        saved_end=saved_end(conn, lease.session_id),
        traceparent=state.traceparent,
        manifest=state.manifest,
        unsaved_seconds=state.unsaved_seconds,
    )


def commit_sync(conn: Conn, begun: BegunSync, receipt: SyncReceipt) -> Committed | None:
    """Commit a sync whose objects are verified. Return None when the worker's epoch changed or another holds the lease.
    An unreadable file counts as a failure all the same. A receipt of a kept end makes that run's snapshot, and the
    present state stays unsaved. Raises Unavailable when a named object is marked for deletion.
    """
    hold_session(conn, begun.lease.session_id)
    state = saving_state(conn, begun.lease.session_id)
    if state is None or not _still_stands(state, begun):
        return None
    if fetch_all(conn, "objects_marked_for_deletion", _Key, session_id=begun.lease.session_id, keys=receipt.objects):
        raise Unavailable("Garbage collection is deleting objects that the sync needs.", code="objects_doomed")
    is_end = receipt.run_id is not None
    begun = as_end(conn, begun, receipt.run_id) if receipt.run_id is not None else begun
    failure = receipt.failure if begun.at_rest and not is_end else None
    covers = begun.at_rest and not is_end and state.live_run_id is None and failure is None
    head = land_snapshot(conn, begun, receipt)
    execute(
        conn,
        "record_synced",
        session_id=begun.lease.session_id,
        claim=begun.lease.claim,
        epoch=begun.epoch,
        head=head,
        seq=begun.seq,
        covers=covers,
        failed=failure is not None,
    )
    log_secrets(conn, begun.lease.session_id, receipt, known=begun.head.skipped if begun.head else [])
    log_synced(
        conn, begun.lease.session_id, receipt, head=head, run_id=begun.run_id, reason=begun.reason, since=begun.seq
    )
    if failure is not None:
        fail_sync(conn, begun.lease, code="unreadable", message=failure, pauses=Pauses())
    if is_end:
        make_sync_due(conn, begun.lease.session_id)
    is_covering = covers and state.dirty_seq <= begun.seq
    return Committed(head, is_covering=is_covering, seq=begun.seq, is_end=is_end)


def fail_sync(conn: Conn, lease: SyncLease, *, code: str, message: str, pauses: Pauses) -> Failed | None:
    """Record a failed sync, which is retried after a pause; log it. Return None when another holds the lease."""
    hold_session(conn, lease.session_id)
    failed = fetch_one(
        conn,
        "record_sync_failed",
        Failed,
        session_id=lease.session_id,
        claim=lease.claim,
        error=message,
        pause_seconds=pauses.first_seconds,
        longest_seconds=pauses.longest_seconds,
    )
    state = saving_state(conn, lease.session_id)
    if failed is None or state is None:
        return None
    data = {"code": code, "reason": message, "failures": failed.failures, "nextSyncAt": rfc3339(failed.next_sync_at)}
    append_of_worker(conn, lease.session_id, "workspace.sync_failed", data)
    return failed


def forget_unsaved(conn: Conn, session_id: UUID) -> bool:
    """Forget unsaved changes of a vanished volume; return whether there were any, which the user must learn."""
    hold_session(conn, session_id)
    state = saving_state(conn, session_id)
    execute(conn, "forget_unsaved", session_id=session_id)
    return state is not None and state.dirty_since is not None


def _head(conn: Conn, state: SavingRow) -> SnapshotRow | None:
    if state.head_snapshot is None:
        return None
    return fetch_one(conn, "snapshot", SnapshotRow, session_id=state.session_id, snapshot_id=state.head_snapshot)


def _still_stands(state: SavingRow, begun: BegunSync) -> bool:
    head = begun.head.id if begun.head else None
    return (
        state.is_claimed
        and state.sync_claim == begun.lease.claim
        and state.epoch == state.session_epoch == begun.epoch
        and state.head_snapshot == head
    )


@dataclass(frozen=True)
class _Key:
    key: str

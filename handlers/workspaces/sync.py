"""Saving a session's workspace: what is unsaved, whose turn it is to save it, and what a save leads to.

A turn is one at a time per session and fenced by its claim number. Changes are known by where they stand in the
session's log: a save holds all that stood there when its scan began.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from handlers.event_log import NewEvent, append, hold_session
from schema.errors import Unavailable
from schema.rows import RunRow, SavingRow, SnapshotRow
from schema.sql import Conn, execute, fetch_all, fetch_one, jsonb
from schema.wire import Json, rfc3339
from schema.workspace_api import SyncReason, SyncReceipt

COALESCE_SECONDS = 2.0
"""How long the saves that messages ask for wait for one another."""
SKIPPED_KEPT = 100
_NO_PLACE = frozenset({"absent", "starting"})


@dataclass(frozen=True)
class SyncLease:
    """The right to save one session; worth nothing once another has been given with a higher claim."""

    session_id: UUID
    claim: int


@dataclass(frozen=True, kw_only=True)
class BegunSync:
    """A save whose scan may begin: what it may count on, and what must still be so for it to be committed.
    `unsaved_seconds`: how long changes have waited since the last save."""

    turn: SyncLease
    epoch: int
    reason: SyncReason
    seq: int
    at_rest: bool
    run_id: UUID | None
    head: SnapshotRow | None
    traceparent: str | None
    manifest: Json
    unsaved_seconds: float


@dataclass(frozen=True)
class Committed:
    """`snapshot_id` holds the newest saved state; `is_covering`: nothing is unsaved any more."""

    snapshot_id: UUID
    is_covering: bool


@dataclass(frozen=True)
class Pauses:
    """Seconds between failed saves: the first, doubled each time up to the longest."""

    first_seconds: float = 5.0
    longest_seconds: float = 600.0


@dataclass(frozen=True)
class Failed:
    """How often in a row, and when it is tried again."""

    failures: int
    next_sync_at: datetime


@dataclass(frozen=True)
class UnsavedReason:
    """Why a worker may not be stopped or removed: `code` is stable, `message` a sentence."""

    code: Literal["live_run", "syncing", "unsaved", "not_whole", "never_saved"]
    message: str


def mark_dirty(conn: Conn, run: RunRow, *, within_seconds: float | None = None) -> None:
    """What the run did from its last event on may be unsaved; to be saved within the time, or when something else asks
    for it. The caller holds the session. A bound run works in no workspace of ours."""
    if run.bound or run.attempt == 0:
        return
    was_heard = run.lease_expires_at is not None or run.prompt_delivered
    execute(conn, "mark_dirty", session_id=run.session_id, within_seconds=within_seconds, was_heard=was_heard)


def hurry_save(conn: Conn, session_id: UUID) -> None:
    """Its agent has ended for now: what is unsaved is to be saved at once."""
    execute(conn, "hurry_save", session_id=session_id)


def take_due_sync_leases(conn: Conn, *, owner: str, lock_seconds: float, at_once: int) -> list[SyncLease]:
    """The turns of the sessions that are to be saved now, of which the owner has so many at once at most. Safe to call
    by several at once."""
    return fetch_all(conn, "take_due_sync_leases", SyncLease, owner=owner, lock_seconds=lock_seconds, at_once=at_once)


def take_sync_lease(conn: Conn, session_id: UUID, *, owner: str, lock_seconds: float) -> SyncLease | None:
    """This session's turn; None while another has it, or when it has no worker."""
    return fetch_one(conn, "take_sync_lease", SyncLease, session_id=session_id, owner=owner, lock_seconds=lock_seconds)


def renew_sync_lease(conn: Conn, turn: SyncLease, *, lock_seconds: float) -> bool:
    """Whether it is still this one's turn; if so it is extended."""
    return bool(
        execute(conn, "renew_sync_lease", session_id=turn.session_id, claim=turn.claim, lock_seconds=lock_seconds)
    )


def end_sync_lease(conn: Conn, turn: SyncLease, *, again_in_seconds: float | None = None) -> None:
    """Leave it to the next, who may be wanted after some seconds."""
    execute(conn, "end_sync_lease", session_id=turn.session_id, claim=turn.claim, again_in_seconds=again_in_seconds)


def orphaned_sync_leases(conn: Conn) -> list[SyncLease]:
    """Turns whose job worker holds no mark of presence."""
    return fetch_all(conn, "orphaned_sync_leases", SyncLease)


def expire_sync_leases(conn: Conn, turns: Collection[SyncLease]) -> None:
    """Their job workers are gone: whoever looks next may take them."""
    for turn in turns:
        execute(conn, "expire_sync_lease", session_id=turn.session_id, claim=turn.claim)


def saving_state(conn: Conn, session_id: UUID) -> SavingRow | None:
    """None when the session never had a worker."""
    return fetch_one(conn, "saving_state", SavingRow, session_id=session_id)


def unsaved(conn: Conn, session_id: UUID) -> UnsavedReason | None:
    """The gate of stop and remove: why the worker must stay, or None when all that it holds is saved.

    Whoever acts on the answer holds the session and changes the worker's status in the same transaction.
    """
    state = saving_state(conn, session_id)
    return None if state is None else why_unsaved(state)


def is_saved(conn: Conn, session_id: UUID) -> bool:
    return unsaved(conn, session_id) is None


def why_unsaved(state: SavingRow) -> UnsavedReason | None:
    """Pure. `unsaved` by the row."""
    if state.status == "absent":
        return None
    if state.live_run_id is not None:
        return UnsavedReason("live_run", "A run is at work in it.")
    if state.is_syncing:
        return UnsavedReason("syncing", "It is being saved just now.")
    if state.dirty_since is not None:
        error = f" The last try failed: {state.sync_error}" if state.sync_error else ""
        return UnsavedReason("unsaved", f"It holds changes that are not saved.{error}")
    if state.dirty_seq > 0 and state.head_seq is None:
        return UnsavedReason("never_saved", "Runs have worked in it, and nothing of it was ever saved.")
    if state.dirty_seq > 0 and not (state.head_at_rest and (state.head_seq or 0) >= state.dirty_seq):
        return UnsavedReason("unsaved", "Its newest snapshot began before its last run was at rest.")
    return None


def begin_sync(
    conn: Conn, turn: SyncLease, *, owner: str, lock_seconds: float, reason: SyncReason | None = None
) -> BegunSync | UnsavedReason | None:
    """The save that this turn is for, its scan to begin after the commit. A Reason when it cannot be now; None when it
    is another's turn, or there is nothing to save and no `reason` was given to look all the same."""
    hold_session(conn, turn.session_id)
    state = saving_state(conn, turn.session_id)
    if state is None or not state.is_claimed or state.sync_claim != turn.claim:
        return None
    if state.status in _NO_PLACE or (state.dirty_since is None and reason is None):
        end_sync_lease(conn, turn)
        return None
    if state.epoch != state.session_epoch or not state.is_restored:
        return UnsavedReason(
            "not_whole", "Its place was not completely restored, and must not be saved over what is saved."
        )
    execute(
        conn, "begin_sync_lease", session_id=turn.session_id, claim=turn.claim, owner=owner, lock_seconds=lock_seconds
    )
    return BegunSync(
        turn=turn,
        epoch=state.epoch,
        reason=reason or ("message" if state.live_run_id else "run"),
        seq=state.last_seq,
        at_rest=state.live_run_id is None,
        run_id=state.run_id,
        head=_head(conn, state),
        traceparent=state.traceparent,
        manifest=state.manifest,
        unsaved_seconds=state.unsaved_seconds,
    )


def commit_sync(conn: Conn, begun: BegunSync, receipt: SyncReceipt) -> Committed | None:
    """The save counts from now on; its objects have been proven. None when it must not: the place has moved, or another
    has the turn. What could not be read is a failure all the same. Raises Unavailable when an object that it names is
    about to be deleted."""
    hold_session(conn, begun.turn.session_id)
    state = saving_state(conn, begun.turn.session_id)
    if state is None or not _still_stands(state, begun):
        return None
    if fetch_all(conn, "objects_marked_for_deletion", _Key, session_id=begun.turn.session_id, keys=receipt.objects):
        raise Unavailable("Garbage is being deleted under names that the save needs.", code="objects_doomed")
    failure = receipt.failure if begun.at_rest else None
    covers = begun.at_rest and state.live_run_id is None and failure is None
    head = _landed(conn, begun, receipt)
    execute(
        conn,
        "record_synced",
        session_id=begun.turn.session_id,
        claim=begun.turn.claim,
        epoch=begun.epoch,
        head=head,
        seq=begun.seq,
        covers=covers,
        failed=failure is not None,
    )
    _say(conn, state, "workspace.synced", _synced(begun, receipt, head))
    if failure is not None:
        fail_sync(conn, begun.turn, code="unreadable", message=failure, pauses=Pauses())
    return Committed(head, is_covering=covers and state.dirty_seq <= begun.seq)


def fail_sync(conn: Conn, turn: SyncLease, *, code: str, message: str, pauses: Pauses) -> Failed | None:
    """Nothing was saved, nothing is lost: counted, told, and due again after a pause. None when it is not its turn."""
    hold_session(conn, turn.session_id)
    failed = fetch_one(
        conn,
        "record_sync_failed",
        Failed,
        session_id=turn.session_id,
        claim=turn.claim,
        error=message,
        pause_seconds=pauses.first_seconds,
        longest_seconds=pauses.longest_seconds,
    )
    state = saving_state(conn, turn.session_id)
    if failed is None or state is None:
        return None
    data = {"code": code, "reason": message, "failures": failed.failures, "nextSyncAt": rfc3339(failed.next_sync_at)}
    _say(conn, state, "workspace.sync_failed", data)
    return failed


def forget_unsaved(conn: Conn, session_id: UUID) -> bool:
    """The session's place is gone, with whatever of it was unsaved: whether anything was. To be told to the user."""
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
        and state.sync_claim == begun.turn.claim
        and state.epoch == state.session_epoch == begun.epoch
        and state.head_snapshot == head
    )


@dataclass(frozen=True)
class _Key:
    key: str


def _landed(conn: Conn, begun: BegunSync, receipt: SyncReceipt) -> UUID:
    """The snapshot that holds the state: a new one, or the head if nothing differs from it."""
    if receipt.unchanged and begun.head is not None:
        if begun.at_rest:
            execute(conn, "confirm_snapshot", id=begun.head.id, session_id=begun.turn.session_id, seq=begun.seq)
        return begun.head.id
    execute(
        conn,
        "insert_snapshot",
        id=receipt.snapshot_id,
        session_id=begun.turn.session_id,
        epoch=begun.epoch,
        run_id=begun.run_id,
        reason=begun.reason,
        seq=begun.seq,
        at_rest=begun.at_rest,
        files=receipt.files,
        bytes=receipt.bytes,
        changed=receipt.changed,
        uploaded_bytes=receipt.uploaded_bytes,
        skipped=jsonb([each.to_json() for each in receipt.skipped[:SKIPPED_KEPT]]),
        objects=receipt.objects,
        manifest_digest=receipt.manifest_digest,
    )
    return receipt.snapshot_id


def _synced(begun: BegunSync, receipt: SyncReceipt, head: UUID) -> Json:
    data = {
        "snapshotId": str(head),
        "files": receipt.files,
        "bytes": receipt.bytes,
        "changed": 0 if receipt.unchanged else receipt.changed,
        "skipped": receipt.skipped_total,
        "seconds": round(receipt.seconds, 3),
        "reason": begun.reason,
    }
    return {**data, "runId": str(begun.run_id)} if begun.run_id else data


def _say(conn: Conn, state: SavingRow, type_: str, data: Json) -> None:
    """In the session's log; of the run while it goes on, for a run's own events end with it."""
    head = hold_session(conn, state.session_id)
    append(conn, head, [NewEvent(type=type_, data=data, run_id=state.live_run_id)])

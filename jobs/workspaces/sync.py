"""`sync_workspace`: have an executor upload its workspace, verify the upload, and commit the snapshot.

The holder of the session's sync lease syncs: a deferred job, or `save_now`, which stop and remove call first. A failure
is recorded, and the session becomes due again after a pause.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import ClassVar, Literal
from uuid import UUID

import structlog

from handlers.enqueue import defer_sync
from handlers.workspaces.sync import (
    BegunSync,
    Committed,
    Pauses,
    SyncLease,
    UnsavedReason,
    begin_sync,
    commit_sync,
    end_sync_lease,
    expire_sync_leases,
    fail_sync,
    saving_state,
    take_due_sync_leases,
    take_sync_lease,
    why_unsaved,
)
from jobs.context import TaskContext
from jobs.object_store.contract import ObjectStorage
from jobs.runtime.executor_client import Endpoint, ExecutorError
from jobs.runtime.late_events import reporting_when_late
from jobs.runtime.trace import Trace
from jobs.workspaces.damaged_objects import delete_damaged
from jobs.workspaces.saved_uploads import forget_saved_uploads
from jobs.workspaces.sync_operation import Interrupted, OperationFailed, Superseded, await_operation
from jobs.workspaces.sync_requester import SyncRequester
from jobs.workspaces.upload_links import UploadLinks
from jobs.workspaces.verify import Unproven, verify, verify_snapshot
from schema.errors import RunyardError, Unavailable
from schema.logs import log_context
from schema.rows import SnapshotRow
from schema.sql import Conn, fetch_one
from schema.workspace_api import SyncQuery, SyncReason, SyncReceipt

AT_ONCE = 4
LEASE_WAIT_SECONDS = 120.0
LOOK_SECONDS = 0.1
AGAIN_SECONDS = 1.0

PATIENCE_SECONDS = 300.0
"""A temporary refusal that lasts this long counts as a failure."""
TEMPORARY = frozenset({"busy", "run_live", "run_began"})
"""The codes of temporary refusals: another sync runs on the executor, or an agent starts or ends."""

SyncOutcome = Literal["saved", "nothing_to_do", "superseded", "interrupted", "deferred", "failed"]

_log = structlog.stdlib.get_logger(__name__)


class NotSaved(Unavailable):
    """The session could not be synced."""

    code: ClassVar[str] = "not_saved"


class NotYetSaved(NotSaved):
    """Another sync runs, or the executor was busy. This is no failure; the caller retries soon."""


def save_due(context: TaskContext) -> None:
    """Lease each due session and defer its sync job, every second."""
    if context.store is not None:
        context.database.transact(_lease_due_sessions, context)


def expire_orphaned_leases(context: TaskContext, orphans: list[SyncLease]) -> None:
    """Expire the sync leases of dead job workers, so that other job workers can take them."""
    _log.warning("sync_leases.orphaned", count=len(orphans))
    context.database.transact(expire_sync_leases, orphans)


def sync_workspace(context: TaskContext, session_id: UUID, claim: int) -> SyncOutcome:
    """Sync a session under the lease of `claim`, record a failure, and return the outcome."""
    with log_context(sessionId=session_id):
        try:
            committed = _save(context, SyncLease(session_id, claim), reason=None)
        except NotYetSaved:
            return "deferred"
        except NotSaved:
            return "failed"
        except Superseded:
            return "superseded"
        except Interrupted:
            return "interrupted"
    return "nothing_to_do" if committed is None else "saved"


def save_now(
    context: TaskContext, session_id: UUID, reason: SyncReason, *, wait_seconds: float = LEASE_WAIT_SECONDS
) -> UUID | None:
    """Sync the session now. Return the snapshot of its newest state; None when there is nothing to sync.

    Ends of runs that the executor kept are committed first. For `stop` and `remove`, and for a stopped worker, a state
    that is saved already is only verified again. Raise NotSaved with a sentence and record the failure. Another run may
    begin meanwhile: check handlers.workspaces.sync.why_unsaved afterwards, in the transaction that acts on the result.
    """
    with log_context(sessionId=session_id):
        if reason in ("stop", "remove") or (reason == "requested" and _is_stopped(context, session_id)):
            is_saved, head = _already_saved(context, session_id)
            if is_saved:
                return head
        deadline = time.monotonic() + wait_seconds
        while True:
            lease = _wait_for_lease(context, session_id, deadline=deadline)
            try:
                committed = None if lease is None else _save(context, lease, reason=reason)
            except NotYetSaved:
                if time.monotonic() > deadline or context.closing.wait(AGAIN_SECONDS):
                    raise
            except (Superseded, Interrupted) as error:
                raise NotSaved(error.detail) from None
            else:
                if committed is None or not committed.is_end:
                    return None if committed is None else committed.snapshot_id


def _lease_due_sessions(conn: Conn, context: TaskContext) -> None:
    lock_seconds = context.sync_leases.lock_seconds
    for lease in take_due_sync_leases(conn, owner=context.claimer, lock_seconds=lock_seconds, at_once=AT_ONCE):
        defer_sync(conn, lease.session_id, claim=lease.claim)


def _is_stopped(context: TaskContext, session_id: UUID) -> bool:
    state = context.database.transact(saving_state, session_id)
    return state is not None and state.status == "stopped"


def _already_saved(context: TaskContext, session_id: UUID) -> tuple[bool, UUID | None]:
    """Whether no change is unsaved and the store holds all of the newest snapshot; and that snapshot."""
    state = context.database.transact(saving_state, session_id)
    if state is None or state.status == "absent":
        return True, None
    if why_unsaved(state) is not None:
        return False, None
    if state.head_snapshot is None:
        return True, None
    head = context.database.transact(
        fetch_one, "snapshot", SnapshotRow, session_id=session_id, snapshot_id=state.head_snapshot
    )
    try:
        return head is not None and verify_snapshot(_store(context), head), state.head_snapshot
    except RunyardError as error:
        raise NotSaved(f"The snapshot could not be verified: {error.detail}") from None


def _wait_for_lease(context: TaskContext, session_id: UUID, *, deadline: float) -> SyncLease | None:
    """Wait for the session's sync lease and take it. Return None for a session without a worker."""
    while True:
        lease = context.database.transact(
            take_sync_lease, session_id, owner=context.claimer, lock_seconds=context.sync_leases.lock_seconds
        )
        if lease is not None or context.database.transact(saving_state, session_id) is None:
            return lease
        if time.monotonic() > deadline or context.closing.wait(LOOK_SECONDS):
            raise NotYetSaved("Another sync of this session is still running. Try again later.", code="syncing")


def _save(context: TaskContext, lease: SyncLease, *, reason: SyncReason | None) -> Committed | None:
    """Sync under the lease. Return None when the lease is lost or there is nothing to sync.

    Raise NotSaved after recording the failure. Raise NotYetSaved, Superseded and Interrupted after releasing the lease.
    """
    begun: BegunSync | UnsavedReason | None = None
    with context.sync_leases.renewing(lease), ExitStack() as in_logs:
        try:
            begun = context.database.transact(
                begin_sync, lease, owner=context.claimer, lock_seconds=context.sync_leases.lock_seconds, reason=reason
            )
            if begun is None:
                return None
            if isinstance(begun, UnsavedReason):
                raise NotSaved(begun.message, code=begun.code)
            in_logs.enter_context(_trace_of(begun).in_logs())
            with reporting_when_late(
                context.database, lease.session_id, "workspace.syncing", lambda: {"reason": begun.reason}
            ):
                return _upload_and_commit(context, begun)
        except (Superseded, Interrupted):
            context.database.transact(end_sync_lease, lease, again_in_seconds=AGAIN_SECONDS)
            raise
        except RunyardError as error:
            if isinstance(begun, BegunSync) and _passes(error, begun):
                context.database.transact(end_sync_lease, lease, again_in_seconds=AGAIN_SECONDS)
                raise NotYetSaved(error.detail, code=_problem(error)) from None
            _record_failure(context, lease, error)
            raise NotSaved(error.detail, code=error.problem_code) from None


def _trace_of(begun: BegunSync) -> Trace:
    return Trace(
        session_id=begun.lease.session_id, epoch=begun.epoch, run_id=begun.run_id, traceparent=begun.traceparent
    )


def _passes(error: RunyardError, begun: BegunSync) -> bool:
    return _problem(error) in TEMPORARY and begun.unsaved_seconds < PATIENCE_SECONDS


def _problem(error: RunyardError) -> str:
    """Return the executor's own code, or else the error's."""
    return (error.problem if isinstance(error, ExecutorError) else None) or error.problem_code


def _record_failure(context: TaskContext, lease: SyncLease, error: RunyardError) -> None:
    pauses = Pauses()
    failed = context.database.transact(fail_sync, lease, code=error.problem_code, message=error.detail, pauses=pauses)
    _log.warning("sync.failed", code=error.problem_code, why=error.detail, failures=failed and failed.failures)


def _upload_and_commit(context: TaskContext, begun: BegunSync) -> Committed:
    """Upload, verify and commit. Upload again, once, what the store does not prove.

    That is everything when objects of the last snapshot are missing in the store. While an agent runs, its home is not
    read, so a full upload would lack it: that waits for the run's end.
    """
    store, began = _store(context), time.monotonic()
    try:
        receipt = _verified(context, store, begun, count_on_head=True)
    except Unproven as error:
        _log.error("sync.unproven", why=error.detail)
        if error.head_lost and not begun.at_rest and begun.head is not None:
            raise
        delete_damaged(context, store, begun.lease, error.damaged)
        receipt = _verified(context, store, begun, count_on_head=not error.head_lost)
    committed = context.database.transact(commit_sync, begun, receipt)
    if committed is None:
        raise Superseded("The workspace has moved, or another job worker has synced it.")
    forget_saved_uploads(context, begun, committed)
    seconds = round(time.monotonic() - began, 3)
    _log.info(
        "sync.committed",
        snapshotId=str(committed.snapshot_id),
        reason=begun.reason,
        isEnd=committed.is_end,
        seconds=seconds,
    )
    return committed


def _verified(context: TaskContext, store: ObjectStorage, begun: BegunSync, *, count_on_head: bool) -> SyncReceipt:
    """Have the executor upload, and verify its receipt. Raise Unproven when the store lacks an object of it."""
    query = SyncQuery(takes_ends=True, saved_end=begun.saved_end)
    if not count_on_head:
        query = SyncQuery(takes_ends=True, head_lost=begun.head is not None)
        begun = replace(begun, head=None)
    requester = SyncRequester(context, begun, query, UploadLinks(store, begun.lease.session_id))
    state = await_operation(context, store, requester.asked(_endpoint(context, begun), _trace_of(begun)))
    if state.sync is None:
        raise OperationFailed("The executor reported a sync without its receipt.")
    requester.links.land(is_held=lambda: context.sync_leases.is_held(begun.lease))
    announced = requester.links.announced()
    verify(store, begun, state.sync, requested_ids=requester.snapshot_ids, announced=announced)
    return state.sync


def _endpoint(context: TaskContext, begun: BegunSync) -> Endpoint:
    """Return the endpoint of the executor to sync from. The periodic worker check restarts an ended executor."""
    facts = context.host.facts(begun.lease.session_id)
    if not facts.has_volume(begun.epoch):
        raise NotSaved("The worker's volume is gone: no data is left to sync.", code="place_gone")
    if facts.endpoint is None:
        raise NotSaved("The session's executor does not answer.", code="executor_away")
    return facts.endpoint


def _store(context: TaskContext) -> ObjectStorage:
    if context.store is None:
        raise NotSaved("No object store is configured. Set S3_BUCKET.", code="no_object_store")
    return context.store

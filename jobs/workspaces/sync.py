"""`sync_workspace`: have an executor save its workspace, prove what it uploaded, and commit the snapshot.

Whoever has the session's turn does it: a job that the sweep has deferred, or `save_now`, which stop and remove call
before they may go on. What goes wrong is recorded, and due again after a pause.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import ClassVar, Literal
from uuid import UUID, uuid4

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
from jobs.runtime.trace import Trace
from jobs.workspaces.sync_operation import Interrupted, OperationFailed, OperationRequest, Superseded, see_through
from jobs.workspaces.verify import Unproven, prove, prove_snapshot
from schema.errors import RunyardError, Unavailable
from schema.logs import log_context
from schema.object_keys import is_content_key, manifest_key
from schema.rows import SnapshotRow
from schema.runtime_manifest import ignore_patterns, read_runtime_manifest
from schema.sql import Conn, fetch_one
from schema.workspace_api import SyncReason, SyncReceipt, SyncWorkspace, Want

AT_ONCE = 4
ANOTHERS_TURN_SECONDS = 120.0
LOOK_SECONDS = 0.1
AGAIN_SECONDS = 1.0

PATIENCE_SECONDS = 300.0
"""Something that passes by itself, but has not for so long, is a failure after all."""
PASSING = frozenset({"busy", "run_live", "run_began"})
"""What an executor answers while another save goes on there, or an agent is on its way in or out."""

SyncOutcome = Literal["saved", "nothing_to_do", "superseded", "interrupted", "deferred", "failed"]

_log = structlog.stdlib.get_logger(__name__)


class NotSaved(Unavailable):
    """The session could not be saved."""

    code: ClassVar[str] = "not_saved"


class NotYetSaved(NotSaved):
    """Another save goes on, or the executor was about something else: not a failure, and to be tried again soon."""


def save_due(context: TaskContext) -> None:
    """Every second: sessions that are to be saved now get their turn and its job."""
    if context.store is not None:
        context.database.transact(_give_turns, context)


def expire_orphaned_leases(context: TaskContext, orphans: list[SyncLease]) -> None:
    """Turns of job workers that are gone: theirs to take who looks next."""
    _log.warning("turns.orphaned", count=len(orphans))
    context.database.transact(expire_sync_leases, orphans)


def sync_workspace(context: TaskContext, session_id: UUID, claim: int) -> SyncOutcome:
    """What became of it; failures are recorded."""
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
    context: TaskContext, session_id: UUID, reason: SyncReason, *, wait_seconds: float = ANOTHERS_TURN_SECONDS
) -> UUID | None:
    """Save the session here and now: the snapshot that holds its newest state, None when there is nothing to save.

    For `stop` and `remove` a state that is saved already is only proven again. Raises NotSaved with a sentence; the
    failure is recorded then. Another run may begin meanwhile: ask the gate (handlers.workspaces.sync.unsaved)
    afterwards, in the
    transaction that acts on it.
    """
    with log_context(sessionId=session_id):
        if reason in ("stop", "remove"):
            is_proven, head = _proven_already(context, session_id)
            if is_proven:
                return head
        deadline = time.monotonic() + wait_seconds
        while True:
            turn = _own_turn(context, session_id, deadline=deadline)
            try:
                committed = None if turn is None else _save(context, turn, reason=reason)
            except NotYetSaved:
                if time.monotonic() > deadline or context.closing.wait(AGAIN_SECONDS):
                    raise
            except (Superseded, Interrupted) as error:
                raise NotSaved(error.detail) from None
            else:
                return None if committed is None else committed.snapshot_id


def _give_turns(conn: Conn, context: TaskContext) -> None:
    lock_seconds = context.sync_leases.lock_seconds
    for turn in take_due_sync_leases(conn, owner=context.claimer, lock_seconds=lock_seconds, at_once=AT_ONCE):
        defer_sync(conn, turn.session_id, claim=turn.claim)


def _proven_already(context: TaskContext, session_id: UUID) -> tuple[bool, UUID | None]:
    """Whether nothing is unsaved and all of the newest snapshot is in the store; that snapshot."""
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
        return head is not None and prove_snapshot(_store(context), head), state.head_snapshot
    except RunyardError as error:
        raise NotSaved(f"What is saved could not be looked at: {error.detail}") from None


def _own_turn(context: TaskContext, session_id: UUID, *, deadline: float) -> SyncLease | None:
    """Wait until whoever has it is done. None for a session without a worker."""
    while True:
        turn = context.database.transact(
            take_sync_lease, session_id, owner=context.claimer, lock_seconds=context.sync_leases.lock_seconds
        )
        if turn is not None or context.database.transact(saving_state, session_id) is None:
            return turn
        if time.monotonic() > deadline or context.closing.wait(LOOK_SECONDS):
            raise NotYetSaved("Another save of this session is still going on.", code="syncing")


def _save(context: TaskContext, turn: SyncLease, *, reason: SyncReason | None) -> Committed | None:
    """None when it was nobody's to save, or there was nothing. Raises NotSaved once that is recorded; NotYetSaved,
    Superseded and Interrupted when the turn was given back."""
    begun: BegunSync | UnsavedReason | None = None
    with context.sync_leases.renewing(turn), ExitStack() as in_logs:
        try:
            begun = context.database.transact(
                begin_sync, turn, owner=context.claimer, lock_seconds=context.sync_leases.lock_seconds, reason=reason
            )
            if begun is None:
                return None
            if isinstance(begun, UnsavedReason):
                raise NotSaved(begun.message, code=begun.code)
            in_logs.enter_context(_trace_of(begun).in_logs())
            return _carried_out(context, begun)
        except (Superseded, Interrupted):
            context.database.transact(end_sync_lease, turn, again_in_seconds=AGAIN_SECONDS)
            raise
        except RunyardError as error:
            if isinstance(begun, BegunSync) and _passes(error, begun):
                context.database.transact(end_sync_lease, turn, again_in_seconds=AGAIN_SECONDS)
                raise NotYetSaved(error.detail, code=_problem(error)) from None
            _record_failure(context, turn, error)
            raise NotSaved(error.detail, code=error.problem_code) from None


def _trace_of(begun: BegunSync) -> Trace:
    return Trace(
        session_id=begun.turn.session_id, epoch=begun.epoch, run_id=begun.run_id, traceparent=begun.traceparent
    )


def _passes(error: RunyardError, begun: BegunSync) -> bool:
    return _problem(error) in PASSING and begun.unsaved_seconds < PATIENCE_SECONDS


def _problem(error: RunyardError) -> str:
    """The executor's own code, where it has said one."""
    return (error.problem if isinstance(error, ExecutorError) else None) or error.problem_code


def _record_failure(context: TaskContext, turn: SyncLease, error: RunyardError) -> None:
    pauses = Pauses()
    failed = context.database.transact(fail_sync, turn, code=error.problem_code, message=error.detail, pauses=pauses)
    _log.warning("sync.failed", code=error.problem_code, why=error.detail, failures=failed and failed.failures)


def _carried_out(context: TaskContext, begun: BegunSync) -> Committed:
    """Once more from nothing when what the last snapshot counts on has gone from the store. Beside an agent its home
    is not read, and would not be in it: that waits for the run's end."""
    store, began = _store(context), time.monotonic()
    try:
        receipt = _proven(context, store, begun, count_on_head=True)
    except Unproven as error:
        _log.error("sync.unproven", why=error.detail)
        if not begun.at_rest and begun.head is not None:
            raise
        receipt = _proven(context, store, begun, count_on_head=False)
    committed = context.database.transact(commit_sync, begun, receipt)
    if committed is None:
        raise Superseded("The workspace has moved, or has been saved by another meanwhile.")
    seconds = round(time.monotonic() - began, 3)
    _log.info("sync.committed", snapshotId=str(committed.snapshot_id), reason=begun.reason, seconds=seconds)
    return committed


def _proven(context: TaskContext, store: ObjectStorage, begun: BegunSync, *, count_on_head: bool) -> SyncReceipt:
    """Raises Unproven when the store does not hold what the receipt says."""
    begun = begun if count_on_head else replace(begun, head=None)
    asking = _Asking(context, begun)
    state = see_through(context, store, asking.asked(_reach(context, begun)))
    if state.sync is None:
        raise OperationFailed("The executor says that it has saved, and not what.")
    prove(store, begun, state.sync, asked=asking.snapshot_ids)
    return state.sync


class _Asking:
    """What one save asks of the executor, each time under a new snapshot id: what an earlier try has left half done
    under its own is garbage."""

    def __init__(self, context: TaskContext, begun: BegunSync) -> None:
        self._shop = context
        self._begun = begun
        self.snapshot_ids: list[UUID] = []

    def asked(self, endpoint: Endpoint) -> OperationRequest:
        begun = self._begun
        trace = _trace_of(begun)
        return OperationRequest(
            endpoint=endpoint,
            trace=trace,
            start=lambda: self._shop.executors.sync(endpoint, self._wanted(), trace),
            may_have=self._may_have,
            is_held=lambda: self._shop.sync_leases.is_held(begun.turn),
        )

    def _wanted(self) -> SyncWorkspace:
        begun = self._begun
        self.snapshot_ids.append(uuid4())
        return SyncWorkspace(
            session_id=begun.turn.session_id,
            epoch=begun.epoch,
            snapshot_id=self.snapshot_ids[-1],
            run_id=begun.run_id,
            reason=begun.reason,
            head=begun.head.id if begun.head else None,
            head_digest=begun.head.manifest_digest if begun.head else None,
            at_rest=begun.at_rest,
            ignore=ignore_patterns(read_runtime_manifest(begun.manifest)),
        )

    def _may_have(self, want: Want) -> bool:
        session_id, head = self._begun.turn.session_id, self._begun.head
        if is_content_key(session_id, want.key):
            return True
        if want.method == "GET":
            return head is not None and want.key == manifest_key(session_id, head.id)
        return want.key == manifest_key(session_id, self.snapshot_ids[-1])


def _reach(context: TaskContext, begun: BegunSync) -> Endpoint:
    """The executor on the place that is to be saved. One that has ended is started again by who looks after workers."""
    facts = context.host.facts(begun.turn.session_id)
    if not facts.has_volume(begun.epoch):
        raise NotSaved("Its place is gone: there is nothing left to save from.", code="place_gone")
    if facts.endpoint is None:
        raise NotSaved("Its executor does not answer.", code="executor_away")
    return facts.endpoint


def _store(context: TaskContext) -> ObjectStorage:
    if context.store is None:
        raise NotSaved("No object store is set up.", code="no_object_store")
    return context.store

"""`put_back`: put a file or folder of an older snapshot into the workspace, between two saves.

The save before makes it undoable, the save after makes it last. The executor admits no run meanwhile.
"""

from __future__ import annotations

from uuid import UUID

import structlog

from handlers.files.policy_changes import path_rules_of_user
from handlers.files.put_back import PutBack, begin_put_back, log_put_back, plan_put_back
from handlers.files.tree import SnapshotTree
from jobs.context import TaskContext
from jobs.files.live import WorkerGone
from jobs.hosts import HostFailed
from jobs.runtime.executor_client import Endpoint, ExecutorError
from jobs.runtime.trace import Trace
from jobs.workers.activate import holding_worker, use_worker
from jobs.workspaces.restore import RestoreIncomplete, may_have, read_manifest
from jobs.workspaces.sync import NotSaved, save_now
from jobs.workspaces.sync_operation import OperationFailed, OperationRequest, await_operation
from schema.errors import Conflict, Forbidden, Invalid, NotFound, RunyardError, Unavailable
from schema.event_data import WorkspacePutBack
from schema.job_requests import PutBackFiles
from schema.job_results import FilesPutBack, LiveRefusal
from schema.rows import SnapshotRow
from schema.run_ends import exact_note
from schema.sql import fetch_the
from schema.workspace_api import PutBackWorkspace, RestoreReceipt

HOLD_SECONDS = 30.0
_STATUS: tuple[tuple[type[RunyardError], int], ...] = (
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Invalid, 422),
)

_log = structlog.stdlib.get_logger(__name__)


def put_back(context: TaskContext, request: PutBackFiles) -> FilesPutBack:
    """Put the path back; a refusal is a result. Starts the session's worker where there is none."""
    try:
        return _put_back(context, request)
    except (Forbidden, NotFound, Conflict, Invalid) as error:
        status = next(number for kind, number in _STATUS if isinstance(error, kind))
        return _refused(status, error.problem_code, error.detail)
    except ExecutorError as error:
        if error.status == 409:
            return _refused(409, error.problem or "conflict", error.detail.partition(": ")[2] or error.detail)
        return _refused(503, error.problem_code, error.detail)
    except (HostFailed, RestoreIncomplete, NotSaved, OperationFailed, WorkerGone, Unavailable) as error:
        return _refused(503, error.problem_code, error.detail)


def _refused(status: int, code: str, detail: str) -> FilesPutBack:
    return FilesPutBack(refusal=LiveRefusal(status=status, code=code, detail=detail))


def _put_back(context: TaskContext, request: PutBackFiles) -> FilesPutBack:
    session_id = request.session_id
    worker = use_worker(context, session_id, actor=request.author)
    with holding_worker(context, session_id, seconds=HOLD_SECONDS):
        before = _saved(context, session_id)
        now, old = (_tree(context, session_id, snapshot_id) for snapshot_id in (before, request.snapshot_id))
        change = plan_put_back(now, old, request.path, when_missing=request.when_missing)
        _refuse_denied(context, request, change)
        context.database.transact(begin_put_back, session_id)
        receipt = _carry_out(context, request, change, worker.endpoint, worker.epoch)
    told = WorkspacePutBack(
        path=request.path,
        from_snapshot_id=request.snapshot_id,
        undo_snapshot_id=before,
        exact=request.exact,
        exact_note=exact_note(exact=request.exact),
        files=receipt.files,
        removed=len(change.deleted),
        bytes=receipt.bytes,
    )
    context.database.transact(log_put_back, session_id, author=request.author, data=told.to_json())
    _log.info("files.put_back", files=receipt.files, removed=len(change.deleted))
    return FilesPutBack(
        undo_snapshot_id=before,
        snapshot_id=_saved_after(context, session_id),
        files=receipt.files,
        removed=len(change.deleted),
        bytes=receipt.bytes,
    )


def _refuse_denied(context: TaskContext, request: PutBackFiles, change: PutBack) -> None:
    """Raise FileDenied when a file policy denies the user a path that would change."""
    rules = context.database.transact(path_rules_of_user, request.user_id, request.session_id)
    for path in (*change.restored, *change.deleted, *change.emptied):
        rules.require(path)


def _saved(context: TaskContext, session_id: UUID) -> UUID:
    """Save the state of now, and return its snapshot."""
    saved = save_now(context, session_id, "requested")
    if saved is None:
        raise WorkerGone("The session has no workspace that could be saved first.")
    return saved


def _saved_after(context: TaskContext, session_id: UUID) -> UUID | None:
    """Save what was put back. A failure is retried like any other save's."""
    try:
        return save_now(context, session_id, "requested")
    except NotSaved as error:
        _log.warning("files.put_back_unsaved", why=error.detail)
        return None


def _tree(context: TaskContext, session_id: UUID, snapshot_id: UUID) -> SnapshotTree:
    row = _snapshot(context, session_id, snapshot_id)
    return SnapshotTree(read_manifest(context, row), "workspace")


def _snapshot(context: TaskContext, session_id: UUID, snapshot_id: UUID) -> SnapshotRow:
    return context.database.transact(fetch_the, "snapshot", SnapshotRow, session_id=session_id, snapshot_id=snapshot_id)


def _carry_out(
    context: TaskContext, request: PutBackFiles, change: PutBack, endpoint: Endpoint, epoch: int
) -> RestoreReceipt:
    trace = Trace(session_id=request.session_id, epoch=epoch)
    snapshot = _snapshot(context, request.session_id, request.snapshot_id)
    wanted = PutBackWorkspace(
        session_id=request.session_id,
        epoch=epoch,
        snapshot_id=snapshot.id,
        manifest_digest=snapshot.manifest_digest,
        plan=change.plan(),
        emptied=change.emptied,
    )
    operation = OperationRequest(
        endpoint=endpoint,
        trace=trace,
        start=lambda: context.executors.put_back(endpoint, wanted, trace),
        may_have=lambda want: may_have(request.session_id, snapshot.id, want),
        is_held=lambda: True,  # this job holds the worker's lock
    )
    state = await_operation(context, context.store, operation)
    if state.restore is None:
        raise OperationFailed("The executor reported files as put back without a receipt.")
    return state.restore

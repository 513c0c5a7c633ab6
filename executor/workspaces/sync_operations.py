"""Save and restore this executor's workspace, one operation at a time, and decide whether a run may begin meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar
from uuid import UUID

import structlog

from executor.process.account import AgentAccount
from executor.workspaces.home_filter import HomeFilter
from executor.workspaces.restore_marker import RestoreMarker, read_marker, write_marker
from executor.workspaces.snapshotter_process import SnapshotterProcess, SnapshotterResult
from executor.workspaces.sync_operation import SyncOperation
from schema.errors import Conflict, NotFound, RunyardError, StaleEpoch, WrongSession
from schema.wire import Json
from schema.workspace_api import Links, OperationState, PutBackWorkspace, RestoreWorkspace, SyncWorkspace

REMEMBERED_OPERATIONS = 20
ABANDONED_SECONDS = 120.0
"""Cancel an operation that waits for links when no caller has polled it for this long."""
UNATTENDED_SECONDS = 3.0
"""A new save cancels an abandoned one after this long without a poll: its caller has probably died."""
HOME_SECONDS = 10.0
"""A run waits at most this long for a save to read the agent's home; then the executor cancels the save."""
LONGEST_WAIT_SECONDS = 60.0
ABANDONED = SnapshotterResult(
    code="abandoned", error="The snapshotter waited for links, and no caller supplied them. Begin again."
)

_log = structlog.stdlib.get_logger(__name__)


class OperationBusy(Conflict):
    """Another save or restore of this workspace is running. Wait for it to end."""

    code: ClassVar[str] = "busy"


class RunLives(Conflict):
    """An agent is running: its home is not quiesced and its workspace cannot be restored. Wait for the run to end."""

    code: ClassVar[str] = "run_live"


class WorkspaceNotReady(Conflict):
    """The workspace is being restored, or its restore failed. Restore it again before a run."""

    code: ClassVar[str] = "workspace_not_ready"


class SyncOperations:
    """Run saves and restores. `has_run` tells whether an agent lives; `home_filter` returns the paths of its home to
    save."""

    def __init__(
        self,
        *,
        session_id: UUID,
        epoch: int,
        workspace: Path,
        home: Path,
        state_dir: Path,
        account: AgentAccount,
        home_filter: Callable[[], HomeFilter],
        has_run: Callable[[], bool],
    ) -> None:
        self._session_id = session_id
        self._epoch = epoch
        self._roots = {"workspace": str(workspace), "home": str(home)}
        self._state_dir = state_dir
        self._account = account
        self._load_home_filter = home_filter
        self._has_run = has_run
        self._marker = read_marker(state_dir)
        self._current: SyncOperation | None = None
        self._work_task: asyncio.Task[None] | None = None
        self._operations: dict[UUID, SyncOperation] = {}
        self._beginning = 0

    @property
    def restored(self) -> bool:
        """Whether the workspace holds the snapshot requested for this epoch."""
        return self._marker.restored and self._marker.epoch >= self._epoch

    @property
    def is_idle(self) -> bool:
        return self._current is None

    async def sync(self, request: SyncWorkspace) -> OperationState:
        """Begin a save, or return the running save of the same snapshot.

        Raises OperationBusy, RunLives, WorkspaceNotReady, WrongSession or StaleEpoch.
        """
        self._check(request.session_id, request.epoch)
        await self._cancel_unattended(request.snapshot_id)
        running = self._running_operation("sync", request.snapshot_id)
        if running is not None:
            return running.state()
        if self._marker.is_unfinished:
            raise WorkspaceNotReady
        if request.at_rest and (self._has_run() or self._beginning):
            raise RunLives
        order = request.model_dump(mode="json", by_alias=True, exclude={"run_id", "reason", "epoch"})
        return self._begin(SyncOperation("sync", request.snapshot_id), order).state()

    async def restore(self, request: RestoreWorkspace) -> OperationState:
        """Begin a restore, or return the receipt of this epoch's finished restore.

        Raises Conflict, OperationBusy, RunLives, WrongSession or StaleEpoch.
        """
        self._check(request.session_id, request.epoch)
        marker = self._marker
        if marker.restored and marker.epoch == request.epoch:
            if marker.snapshot_id != (str(request.snapshot_id) if request.snapshot_id else None):
                raise Conflict(
                    "This epoch has already restored another snapshot. Raise the epoch to restore this one.",
                    code="restored_already",
                )
            return self._as_done(marker).state()
        running = self._running_operation("restore", request.snapshot_id)
        if running is not None:
            return running.state()
        if self._has_run() or self._beginning:
            raise RunLives
        order = request.model_dump(mode="json", by_alias=True, exclude={"epoch"})
        snapshot_id = str(request.snapshot_id) if request.snapshot_id else None
        self._marker = RestoreMarker(epoch=request.epoch, snapshot_id=snapshot_id)
        write_marker(self._state_dir, self._marker)
        return self._begin(SyncOperation("restore", request.snapshot_id), order).state()

    async def put_back(self, request: PutBackWorkspace) -> OperationState:
        """Begin to put files back into a workspace at rest, or return the running operation of the same snapshot.

        Raises OperationBusy, RunLives, WorkspaceNotReady, WrongSession or StaleEpoch.
        """
        self._check(request.session_id, request.epoch)
        running = self._running_operation("put_back", request.snapshot_id)
        if running is not None:
            return running.state()
        if self._marker.is_unfinished:
            raise WorkspaceNotReady
        if self._has_run() or self._beginning:
            raise RunLives
        order = request.model_dump(mode="json", by_alias=True, exclude={"epoch"})
        return self._begin(SyncOperation("put_back", request.snapshot_id), order).state()

    async def state(self, operation_id: UUID, *, wait: float) -> OperationState:
        """Return the state at once when the operation has ended or wants links, else after at most `wait` seconds."""
        operation = self._find(operation_id)
        operation.polled_at = asyncio.get_running_loop().time()
        if operation.result is None and not operation.wants:
            operation.changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(operation.changed.wait(), min(wait, LONGEST_WAIT_SECONDS))
            operation.polled_at = asyncio.get_running_loop().time()
        return operation.state()

    def give_links(self, operation_id: UUID, links: Links) -> OperationState:
        """Pass links to the snapshotter. Links that it does not want (any more) are ignored."""
        operation = self._find(operation_id)
        wanted = {name: address for name, address in links.links.items() if operation.wants.pop(name, None) is not None}
        if wanted and operation.snapshotter is not None:
            operation.polled_at = asyncio.get_running_loop().time()
            operation.snapshotter.give_links(wanted)
        return operation.state()

    @asynccontextmanager
    async def admitting_run(self) -> AsyncIterator[None]:
        """Admit a run: it begins within the block. Raises WorkspaceNotReady; OperationBusy while files are put back.

        A save that is still reading the agent's home delays the run for at most HOME_SECONDS; then the save is
        cancelled.
        """
        current = self._current
        if self._marker.is_unfinished or (current is not None and current.kind == "restore"):
            raise WorkspaceNotReady
        if current is not None and current.kind == "put_back":
            raise OperationBusy(operationId=str(current.id))
        self._beginning += 1
        try:
            if current is not None and not current.home_read.is_set():
                await self._wait_for_home(current)
            yield
        finally:
            self._beginning -= 1

    async def shut_down(self) -> None:
        """Kill the snapshotter and wait until its operation has ended."""
        if self._current is not None and self._current.snapshotter is not None:
            self._current.snapshotter.kill()
        if self._work_task is not None:
            await asyncio.wait({self._work_task})

    def _check(self, session_id: UUID, epoch: int) -> None:
        if session_id != self._session_id:
            raise WrongSession
        if epoch < max(self._epoch, self._marker.epoch):
            raise StaleEpoch

    def _running_operation(self, kind: str, snapshot_id: UUID | None) -> SyncOperation | None:
        """Return the running operation if it is the requested one, or None. Raises OperationBusy for a different
        one."""
        current = self._current
        if current is None:
            return None
        if (current.kind, current.snapshot_id) != (kind, snapshot_id):
            raise OperationBusy(operationId=str(current.id))
        return current

    async def _cancel_unattended(self, snapshot_id: UUID) -> None:
        """Cancel a save of another snapshot whose caller stopped polling."""
        current = self._current
        if current is None or current.kind != "sync" or current.snapshot_id == snapshot_id:
            return
        if current.snapshotter is not None and current.is_unattended(UNATTENDED_SECONDS):
            current.result = ABANDONED
            current.snapshotter.kill()
            await current.over.wait()

    def _find(self, operation_id: UUID) -> SyncOperation:
        operation = self._operations.get(operation_id)
        if operation is None:
            raise NotFound(
                "This executor does not know the operation: it restarted, or the operation is too old. Begin again."
            )
        return operation

    def _remember(self, operation: SyncOperation) -> None:
        self._operations[operation.id] = operation
        while len(self._operations) > REMEMBERED_OPERATIONS:
            del self._operations[next(iter(self._operations))]

    def _as_done(self, marker: RestoreMarker) -> SyncOperation:
        operation = SyncOperation("restore", UUID(marker.snapshot_id) if marker.snapshot_id else None)
        operation.end(SnapshotterResult(receipt=marker.receipt or {}))
        self._remember(operation)
        return operation

    def _begin(self, operation: SyncOperation, order: Json) -> SyncOperation:
        operation.snapshotter = SnapshotterProcess(
            state_dir=self._state_dir, account=self._account, on_line=operation.hear
        )
        if operation.kind == "sync" and not order["atRest"]:
            operation.home_read.set()
        self._current = operation
        self._remember(operation)
        self._work_task = asyncio.create_task(self._work(operation, operation.snapshotter, order))
        return operation

    async def _work(self, operation: SyncOperation, snapshotter: SnapshotterProcess, order: Json) -> None:
        watching = asyncio.create_task(self._give_up_when_abandoned(operation, snapshotter))
        try:
            home_filter = await asyncio.to_thread(self._load_home_filter)
            result = await snapshotter.run({"kind": operation.kind, **order, **self._roots, **asdict(home_filter)})
            self._record(operation, result)
        except RunyardError as error:
            result = SnapshotterResult(code=error.problem_code, error=error.detail)
        except Exception:  # noqa: BLE001 - the outermost loop of an operation: the executor goes on
            _log.exception("operation.broke", kind=operation.kind)
            result = SnapshotterResult(
                code="executor_error", error="The executor failed unexpectedly; its log has the details."
            )
        finally:
            watching.cancel()
            self._current = None
        operation.end(operation.result or result)
        _log.info("operation.ended", kind=operation.kind, code=None if result.receipt else result.code)

    def _record(self, operation: SyncOperation, result: SnapshotterResult) -> None:
        if operation.kind == "restore" and result.receipt is not None:
            marker = RestoreMarker(
                self._marker.epoch, restored=True, snapshot_id=self._marker.snapshot_id, receipt=result.receipt
            )
            write_marker(self._state_dir, marker)
            self._marker = marker

    async def _give_up_when_abandoned(self, operation: SyncOperation, snapshotter: SnapshotterProcess) -> None:
        loop = asyncio.get_running_loop()
        while True:
            left = operation.polled_at + ABANDONED_SECONDS - loop.time() if operation.wants else ABANDONED_SECONDS
            if left <= 0:
                operation.result = ABANDONED
                snapshotter.kill()
                return
            await asyncio.sleep(left)

    async def _wait_for_home(self, operation: SyncOperation) -> None:
        try:
            await asyncio.wait_for(operation.home_read.wait(), HOME_SECONDS)
        except TimeoutError:
            operation.result = SnapshotterResult(
                code="run_began",
                error="A run began before the save had read the agent's home. Save again after the run.",
            )
            if operation.snapshotter is not None:
                operation.snapshotter.kill()
            await operation.over.wait()

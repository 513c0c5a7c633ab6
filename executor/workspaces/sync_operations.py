"""Save and restore this executor's workspace, one operation at a time, and decide whether a run may begin meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from uuid import UUID

import structlog

from executor.process.account import AgentAccount
from executor.workspaces.end_keeper import RUN_BEGAN, EndKeeper, open_end
from executor.workspaces.home_filter import HomeFilter
from executor.workspaces.kept_ends import UnsavedRun
from executor.workspaces.refusals import OperationBusy, RunLives, WorkspaceNotReady
from executor.workspaces.restore_marker import RestoreMarker, read_marker, write_marker
from executor.workspaces.snapshotter_process import SnapshotterProcess, SnapshotterResult
from executor.workspaces.sync_operation import RememberedOperations, SyncOperation, finished_restore
from schema.errors import Conflict, RunyardError, StaleEpoch, WrongSession
from schema.executor_api import StartRun
from schema.wire import Json
from schema.workspace_api import Links, OperationState, PutBackWorkspace, RestoreWorkspace, SyncQuery, SyncWorkspace

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
        self._keeper = EndKeeper(
            session_id,
            roots=self._roots,
            state_dir=state_dir,
            account=account,
            home_filter=home_filter,
            current=lambda: self._current,
        )
        self._marker = read_marker(state_dir)
        self._current: SyncOperation | None = None
        self._work_task: asyncio.Task[None] | None = None
        self._operations = RememberedOperations()
        self._beginning = 0

    @property
    def restored(self) -> bool:
        """Whether the workspace holds the snapshot requested for this epoch."""
        return self._marker.restored and self._marker.epoch >= self._epoch

    @property
    def is_idle(self) -> bool:
        return self._current is None and not self._keeper.is_keeping

    async def sync(self, request: SyncWorkspace, query: SyncQuery) -> OperationState:
        """Begin a save, or return the running save of the same snapshot. A caller that takes kept ends gets the oldest
        one first.

        Raises OperationBusy, RunLives, WorkspaceNotReady, WrongSession or StaleEpoch.
        """
        self._check(request.session_id, request.epoch)
        await self._cancel_unattended(request.snapshot_id)
        running = self._running_operation("sync", request.snapshot_id)
        if running is not None:
            return running.state()
        if self._marker.is_unfinished:
            raise WorkspaceNotReady
        if self._keeper.is_reading:
            raise OperationBusy
        order = request.model_dump(mode="json", by_alias=True, exclude={"run_id", "reason", "epoch"})
        if not query.takes_ends:
            self._keeper.ends.clear()  # this caller could not tell an older state from the present one
        kept_end = self._keeper.next_to_send(request, saved_end=query.saved_end)
        if kept_end is not None:
            order["headLost"] = query.head_lost
        elif request.at_rest:
            self._refuse_beside_run()
        return self._begin(SyncOperation("sync", request.snapshot_id, kept_end=kept_end), order).state()

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
            operation = finished_restore(marker.snapshot_id, marker.receipt)
            self._operations.add(operation)
            return operation.state()
        running = self._running_operation("restore", request.snapshot_id)
        if running is not None:
            return running.state()
        self._refuse_beside_run()
        order = request.model_dump(mode="json", by_alias=True, exclude={"epoch"})
        snapshot_id = str(request.snapshot_id) if request.snapshot_id else None
        self._marker = RestoreMarker(epoch=request.epoch, snapshot_id=snapshot_id)
        write_marker(self._state_dir, self._marker)
        self._keeper.ends.clear()
        self._keeper.ends.forget_unsaved(self._keeper.ends.unsaved)
        return self._begin(SyncOperation("restore", request.snapshot_id), order).state()

    async def put_back(self, request: PutBackWorkspace) -> OperationState:
        """Begin to put files back into a quiesced workspace, or return the running operation of the same snapshot.

        Raises OperationBusy, RunLives, WorkspaceNotReady, WrongSession or StaleEpoch.
        """
        self._check(request.session_id, request.epoch)
        running = self._running_operation("put_back", request.snapshot_id)
        if running is not None:
            return running.state()
        if self._marker.is_unfinished:
            raise WorkspaceNotReady
        self._refuse_beside_run()
        order = request.model_dump(mode="json", by_alias=True, exclude={"epoch"})
        return self._begin(SyncOperation("put_back", request.snapshot_id), order).state()

    async def state(self, operation_id: UUID, *, wait: float) -> OperationState:
        """Return the state at once when the operation has ended or wants links, else after at most `wait` seconds."""
        operation = self._operations.find(operation_id)
        operation.polled_at = asyncio.get_running_loop().time()
        if operation.result is None and not operation.wants:
            operation.changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(operation.changed.wait(), min(wait, LONGEST_WAIT_SECONDS))
            operation.polled_at = asyncio.get_running_loop().time()
        return operation.state()

    def give_links(self, operation_id: UUID, links: Links) -> OperationState:
        """Pass links to the snapshotter. Links that it does not want (any more) are ignored."""
        operation = self._operations.find(operation_id)
        wanted = {name: address for name, address in links.links.items() if operation.wants.pop(name, None) is not None}
        if wanted and operation.snapshotter is not None:
            operation.polled_at = asyncio.get_running_loop().time()
            operation.snapshotter.give_links(wanted)
        return operation.state()

    @asynccontextmanager
    async def admitting_run(self, start: StartRun) -> AsyncIterator[str | None]:
        """Admit a run: it begins within the block. Raises WorkspaceNotReady; OperationBusy while files are put back;
        EndBeingKept.

        First the end of the run before is kept in a file of its own, unless a snapshot holds it. The block gets None,
        or a sentence that says why that end could not be kept apart.
        """
        current = self._current
        if self._marker.is_unfinished or (current is not None and current.kind == "restore"):
            raise WorkspaceNotReady
        if current is not None and current.kind == "put_back":
            raise OperationBusy(operationId=str(current.id))
        self._beginning += 1
        try:
            await self._keeper.wait_until_kept()
            async with self._keeper.turn:
                self._keeper.ends.forget_saved(start.saved_end)
                await self._keeper.have_kept(next_run=start.run_id)
                await self._have_home_read()
                lost, self._keeper.lost = self._keeper.lost, None
                self._keeper.ends.begin(UnsavedRun(start.run_id, start.ignore))
                yield lost
        finally:
            self._beginning -= 1

    @asynccontextmanager
    async def admitting_upload(self, saved_end: UUID | None) -> AsyncIterator[None]:
        """Admit a file of a user within the block. Between runs, the end of the run before is kept first, unless a
        snapshot holds it: `saved_end` is the last run of which that is known. Raises EndBeingKept."""
        if self._has_run() or (self._current is not None and self._current.kind != "sync"):
            yield
            return
        self._beginning += 1
        try:
            await self._keeper.wait_until_kept()
            async with self._keeper.turn:
                if not self._has_run():  # a run may have begun meanwhile
                    self._keeper.ends.forget_saved(saved_end)
                    await self._keeper.have_kept(next_run=None)
                yield
        finally:
            self._beginning -= 1

    async def shut_down(self) -> None:
        """Kill the snapshotters and wait until the operation has ended."""
        if self._current is not None and self._current.snapshotter is not None:
            self._current.snapshotter.kill()
        await self._keeper.shut_down()
        if self._work_task is not None:
            await asyncio.wait({self._work_task})

    def _check(self, session_id: UUID, epoch: int) -> None:
        if session_id != self._session_id:
            raise WrongSession
        if epoch < max(self._epoch, self._marker.epoch):
            raise StaleEpoch

    def _refuse_beside_run(self) -> None:
        if self._has_run() or self._beginning or self._keeper.is_keeping:
            raise RunLives

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
        if current.is_unattended(UNATTENDED_SECONDS):
            await current.cancel(ABANDONED)

    def _begin(self, operation: SyncOperation, order: Json) -> SyncOperation:
        operation.snapshotter = SnapshotterProcess(
            state_dir=self._state_dir, account=self._account, on_line=operation.hear
        )
        if operation.kind == "sync" and (operation.kept_end is not None or not order["atRest"]):
            operation.home_read.set()
        self._current = operation
        self._operations.add(operation)
        self._work_task = asyncio.create_task(self._work(operation, operation.snapshotter, order))
        return operation

    async def _work(self, operation: SyncOperation, snapshotter: SnapshotterProcess, order: Json) -> None:
        watching = asyncio.create_task(self._give_up_when_abandoned(operation, snapshotter))
        try:
            result = await self._run(operation, snapshotter, order)
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

    async def _run(self, operation: SyncOperation, snapshotter: SnapshotterProcess, order: Json) -> SnapshotterResult:
        if operation.kept_end is None:
            home_filter = await asyncio.to_thread(self._load_home_filter)
            return await snapshotter.run({"kind": operation.kind, **order, **self._roots, **asdict(home_filter)})
        result = await snapshotter.run({**order, "kind": "send_end"}, file=open_end(operation.kept_end))
        if result.receipt is None:
            return result
        return replace(result, receipt={**result.receipt, "runId": str(operation.kept_end.run_id)})

    def _record(self, operation: SyncOperation, result: SnapshotterResult) -> None:
        if operation.kept_end is not None:
            self._keeper.record_sent(operation, result)
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

    async def _have_home_read(self) -> None:
        """Let a running save read the agent's home before an agent writes there."""
        saving = self._current
        if saving is not None and not await saving.has_read_home_within(HOME_SECONDS):
            await saving.cancel(RUN_BEGAN)

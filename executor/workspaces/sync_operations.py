"""Saves and restores of this place, one at a time, and whether agents may work here meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import ClassVar
from uuid import UUID

import structlog

from executor.process.account import AgentAccount
from executor.workspaces.home_filter import HomeFilter
from executor.workspaces.restore_marker import PlaceState, read_place, write_place
from executor.workspaces.snapshotter_process import SnapshotterProcess, SnapshotterResult
from executor.workspaces.sync_operation import SyncOperation
from schema.errors import Conflict, NotFound, RunyardError, StaleEpoch, WrongSession
from schema.wire import Json
from schema.workspace_api import Links, OperationState, RestoreWorkspace, SyncWorkspace

KEPT_OPERATIONS = 20
ABANDONED_SECONDS = 120.0
"""After so long without a question an operation that waits for links is nobody's any more."""
FORSAKEN_SECONDS = 3.0
"""After so long a save that waits for links gives way to another: whoever asked for it has probably died."""
HOME_SECONDS = 10.0
"""A run waits at most so long for the agent's home to be read; then the save gives way."""
LONGEST_WAIT_SECONDS = 60.0
ABANDONED = SnapshotterResult(code="abandoned", error="Nobody gave the links that it waited for.")

_log = structlog.stdlib.get_logger(__name__)


class OperationBusy(Conflict):
    """Another save or restore of this workspace is going on."""

    code: ClassVar[str] = "busy"


class RunLives(Conflict):
    """An agent lives here: its home is not at rest, and nothing can be restored below it."""

    code: ClassVar[str] = "run_live"


class WorkspaceNotReady(Conflict):
    """The workspace is being restored, or its restore has failed; ask for it again before a run."""

    code: ClassVar[str] = "workspace_not_ready"


class SyncOperations:
    """`has_run` says whether an agent lives; `kept` what of its home is saved."""

    def __init__(
        self,
        *,
        session_id: UUID,
        epoch: int,
        workspace: Path,
        home: Path,
        state_dir: Path,
        account: AgentAccount,
        kept: Callable[[], HomeFilter],
        has_run: Callable[[], bool],
    ) -> None:
        self._session_id = session_id
        self._epoch = epoch
        self._roots = {"workspace": str(workspace), "home": str(home)}
        self._state_dir = state_dir
        self._account = account
        self._kept = kept
        self._has_run = has_run
        self._place = read_place(state_dir)
        self._current: SyncOperation | None = None
        self._working: asyncio.Task[None] | None = None
        self._known: dict[UUID, SyncOperation] = {}
        self._beginning = 0

    @property
    def restored(self) -> bool:
        """Whether this place holds what was asked to be put there in its epoch."""
        return self._place.restored and self._place.epoch >= self._epoch

    @property
    def is_idle(self) -> bool:
        return self._current is None

    async def sync(self, asked: SyncWorkspace) -> OperationState:
        """Begin to save. The same snapshot again is the same operation."""
        self._check(asked.session_id, asked.epoch)
        await self._end_forsaken(asked.snapshot_id)
        known = self._asked_before("sync", asked.snapshot_id)
        if known is not None:
            return known.state()
        if self._place.is_unfinished:
            raise WorkspaceNotReady
        if asked.at_rest and (self._has_run() or self._beginning):
            raise RunLives
        order = asked.model_dump(mode="json", by_alias=True, exclude={"run_id", "reason", "epoch"})
        return self._begin(SyncOperation("sync", asked.snapshot_id), order).state()

    async def restore(self, asked: RestoreWorkspace) -> OperationState:
        """Begin to restore; a restore of this epoch that is done is answered with its receipt."""
        self._check(asked.session_id, asked.epoch)
        place = self._place
        if place.restored and place.epoch == asked.epoch:
            if place.snapshot_id != (str(asked.snapshot_id) if asked.snapshot_id else None):
                raise Conflict("Another snapshot has been restored in this epoch.", code="restored_already")
            return self._as_done(place).state()
        known = self._asked_before("restore", asked.snapshot_id)
        if known is not None:
            return known.state()
        if self._has_run() or self._beginning:
            raise RunLives
        order = asked.model_dump(mode="json", by_alias=True, exclude={"epoch"})
        snapshot_id = str(asked.snapshot_id) if asked.snapshot_id else None
        self._place = PlaceState(epoch=asked.epoch, snapshot_id=snapshot_id)
        write_place(self._state_dir, self._place)
        return self._begin(SyncOperation("restore", asked.snapshot_id), order).state()

    async def state(self, operation_id: UUID, *, wait: float) -> OperationState:
        """At once when it has ended or wants links, else after at most `wait` seconds."""
        operation = self._find(operation_id)
        operation.asked_at = asyncio.get_running_loop().time()
        if operation.ended is None and not operation.wants:
            operation.changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(operation.changed.wait(), min(wait, LONGEST_WAIT_SECONDS))
            operation.asked_at = asyncio.get_running_loop().time()
        return operation.state()

    def give_links(self, operation_id: UUID, given: Links) -> OperationState:
        """What is not wanted (any more) is passed over."""
        operation = self._find(operation_id)
        links = {name: address for name, address in given.links.items() if operation.wants.pop(name, None) is not None}
        if links and operation.engine is not None:
            operation.asked_at = asyncio.get_running_loop().time()
            operation.engine.give_links(links)
        return operation.state()

    @asynccontextmanager
    async def admitting_run(self) -> AsyncIterator[None]:
        """A run begins within the block. Raises WorkspaceNotReady. A save that still reads the agent's home is waited
        for, and then gives way."""
        current = self._current
        if self._place.is_unfinished or (current is not None and current.kind == "restore"):
            raise WorkspaceNotReady
        self._beginning += 1
        try:
            if current is not None and not current.home_read.is_set():
                await self._wait_for_home(current)
            yield
        finally:
            self._beginning -= 1

    async def shut_down(self) -> None:
        if self._current is not None and self._current.engine is not None:
            self._current.engine.kill()
        if self._working is not None:
            await asyncio.wait({self._working})

    def _check(self, session_id: UUID, epoch: int) -> None:
        if session_id != self._session_id:
            raise WrongSession
        if epoch < max(self._epoch, self._place.epoch):
            raise StaleEpoch

    def _asked_before(self, kind: str, snapshot_id: UUID | None) -> SyncOperation | None:
        """The operation that goes on, if it is the same; raises OperationBusy if it is another."""
        current = self._current
        if current is None:
            return None
        if (current.kind, current.snapshot_id) != (kind, snapshot_id):
            raise OperationBusy(operationId=str(current.id))
        return current

    async def _end_forsaken(self, snapshot_id: UUID) -> None:
        current = self._current
        if current is None or current.kind != "sync" or current.snapshot_id == snapshot_id:
            return
        if current.engine is not None and current.waits_unasked(FORSAKEN_SECONDS):
            current.ended = ABANDONED
            current.engine.kill()
            await current.over.wait()

    def _find(self, operation_id: UUID) -> SyncOperation:
        operation = self._known.get(operation_id)
        if operation is None:
            raise NotFound("This executor does not know the operation: it has been started again since.")
        return operation

    def _remember(self, operation: SyncOperation) -> None:
        self._known[operation.id] = operation
        while len(self._known) > KEPT_OPERATIONS:
            del self._known[next(iter(self._known))]

    def _as_done(self, place: PlaceState) -> SyncOperation:
        operation = SyncOperation("restore", UUID(place.snapshot_id) if place.snapshot_id else None)
        operation.end(SnapshotterResult(receipt=place.receipt or {}))
        self._remember(operation)
        return operation

    def _begin(self, operation: SyncOperation, order: Json) -> SyncOperation:
        operation.engine = SnapshotterProcess(state_dir=self._state_dir, account=self._account, on_line=operation.hear)
        if operation.kind == "sync" and not order["atRest"]:
            operation.home_read.set()
        self._current = operation
        self._remember(operation)
        self._working = asyncio.create_task(self._work(operation, operation.engine, order))
        return operation

    async def _work(self, operation: SyncOperation, engine: SnapshotterProcess, order: Json) -> None:
        watching = asyncio.create_task(self._give_up_when_abandoned(operation, engine))
        try:
            kept = await asyncio.to_thread(self._kept)
            ended = await engine.run(
                {"kind": operation.kind, **order, **self._roots, "keep": kept.keep, "drop": kept.drop}
            )
            self._record(operation, ended)
        except RunyardError as error:
            ended = SnapshotterResult(code=error.problem_code, error=error.detail)
        except Exception:  # noqa: BLE001 - the outermost loop of an operation: the executor lives on
            _log.exception("operation.broke", kind=operation.kind)
            ended = SnapshotterResult(
                code="executor_error", error="Something went wrong inside the executor; its log says what."
            )
        finally:
            watching.cancel()
            self._current = None
        operation.end(operation.ended or ended)
        _log.info("operation.ended", kind=operation.kind, code=None if ended.receipt else ended.code)

    def _record(self, operation: SyncOperation, ended: SnapshotterResult) -> None:
        if operation.kind == "restore" and ended.receipt is not None:
            place = PlaceState(
                self._place.epoch, restored=True, snapshot_id=self._place.snapshot_id, receipt=ended.receipt
            )
            write_place(self._state_dir, place)
            self._place = place

    async def _give_up_when_abandoned(self, operation: SyncOperation, engine: SnapshotterProcess) -> None:
        loop = asyncio.get_running_loop()
        while True:
            left = operation.asked_at + ABANDONED_SECONDS - loop.time() if operation.wants else ABANDONED_SECONDS
            if left <= 0:
                operation.ended = ABANDONED
                engine.kill()
                return
            await asyncio.sleep(left)

    async def _wait_for_home(self, operation: SyncOperation) -> None:
        try:
            await asyncio.wait_for(operation.home_read.wait(), HOME_SECONDS)
        except TimeoutError:
            operation.ended = SnapshotterResult(code="run_began", error="A run began before the agent's home was read.")
            if operation.engine is not None:
                operation.engine.kill()
            await operation.over.wait()

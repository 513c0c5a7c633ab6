"""Track one save or restore: its progress, the links that it waits for, its result."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Literal
from uuid import UUID, uuid4

from executor.workspaces.kept_ends import KeptEndFile
from executor.workspaces.snapshotter_process import SnapshotterProcess, SnapshotterResult
from schema.errors import NotFound
from schema.wire import Json
from schema.workspace_api import OperationState, Progress, RestoreReceipt, SyncReceipt, Want

REMEMBERED_OPERATIONS = 20
OperationKind = Literal["sync", "restore", "put_back"]


class SyncOperation:
    """Track one save, restore, or putting back of files.

    `kept_end` is what a save uploads, if not the present state. `changed` is set when a waiting caller has something
    new to read.
    """

    def __init__(
        self,
        kind: OperationKind,
        snapshot_id: UUID | None,
        *,
        kept_end: KeptEndFile | None = None,
    ) -> None:
        self.id = uuid4()
        self.kept_end = kept_end
        self.kind: OperationKind = kind
        self.snapshot_id = snapshot_id
        self.snapshotter: SnapshotterProcess | None = None
        self.result: SnapshotterResult | None = None
        self.progress = Progress(step="waiting")
        self.wants: dict[str, Want] = {}
        self.home_read = asyncio.Event()
        self.changed = asyncio.Event()
        self.over = asyncio.Event()
        self.polled_at = asyncio.get_running_loop().time()

    def hear(self, kind: str, value: Json | list[Json]) -> None:
        """Record a line of the snapshotter."""
        if kind == "wants" and isinstance(value, list):
            self.wants = {f"{want['method']} {want['key']}": Want.model_validate(want) for want in value}
            if self.wants:
                self.changed.set()
        elif kind == "progress":
            self.progress = Progress.model_validate(value)
        elif kind == "homeRead":
            self.home_read.set()

    def is_unattended(self, seconds: float) -> bool:
        """Tell whether the operation waits for links and no caller has polled it for `seconds`."""
        return bool(self.wants) and asyncio.get_running_loop().time() - self.polled_at > seconds

    @property
    def saves_present(self) -> bool:
        """Whether this is a save of the present state."""
        return self.kind == "sync" and self.kept_end is None

    async def is_over_within(self, seconds: float) -> bool:
        return await _is_set_within(seconds, self.over)

    async def has_read_home_within(self, seconds: float) -> bool:
        return await _is_set_within(seconds, self.home_read)

    async def cancel(self, result: SnapshotterResult) -> None:
        """End the operation with this result; return once its snapshotter has ended."""
        self.result = result
        if self.snapshotter is not None:
            self.snapshotter.kill()
        await self.over.wait()

    def end(self, result: SnapshotterResult) -> None:
        """Record the result and wake everyone who waits."""
        self.result, self.wants = result, {}
        if result.receipt is not None:
            self.progress = self.progress.model_copy(update={"step": "done"})
        for event in (self.home_read, self.changed, self.over):
            event.set()

    def state(self) -> OperationState:
        """Return the operation's state as the API answers it."""
        result = self.result
        receipt = result.receipt if result else None
        return OperationState(
            operation_id=self.id,
            kind=self.kind,
            state="running" if result is None else "failed" if receipt is None else "succeeded",
            progress=self.progress,
            wants=list(self.wants.values()),
            sync=SyncReceipt.model_validate(receipt) if receipt and self.kind == "sync" else None,
            restore=RestoreReceipt.model_validate(receipt) if receipt and self.kind != "sync" else None,
            code=result.code if result and receipt is None else None,
            error=result.error if result and receipt is None else None,
        )


async def _is_set_within(seconds: float, event: asyncio.Event) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def finished_restore(snapshot_id: str | None, receipt: Json | None) -> SyncOperation:
    """Return the operation of a restore that ended before."""
    operation = SyncOperation("restore", UUID(snapshot_id) if snapshot_id else None)
    operation.end(SnapshotterResult(receipt=receipt or {}))
    return operation


class RememberedOperations:
    """Hold the last operations, for callers that poll them."""

    def __init__(self) -> None:
        self._operations: dict[UUID, SyncOperation] = {}

    def add(self, operation: SyncOperation) -> None:
        self._operations[operation.id] = operation
        while len(self._operations) > REMEMBERED_OPERATIONS:
            del self._operations[next(iter(self._operations))]

    def find(self, operation_id: UUID) -> SyncOperation:
        """Return the operation. Raises NotFound."""
        operation = self._operations.get(operation_id)
        if operation is None:
            raise NotFound(
                "This executor does not know the operation: it restarted, or the operation is too old. Begin again."
            )
        return operation

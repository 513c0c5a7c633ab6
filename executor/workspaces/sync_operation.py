"""One save or restore: how far it is, what it waits for, what it came to."""

from __future__ import annotations

import asyncio
from typing import Literal
from uuid import UUID, uuid4

from executor.workspaces.snapshotter_process import SnapshotterProcess, SnapshotterResult
from schema.wire import Json
from schema.workspace_api import OperationState, Progress, RestoreReceipt, SyncReceipt, Want


class SyncOperation:
    """One save or restore. `changed` is set when there is something new to tell to those who wait."""

    def __init__(self, kind: Literal["sync", "restore"], snapshot_id: UUID | None) -> None:
        self.id = uuid4()
        self.kind: Literal["sync", "restore"] = kind
        self.snapshot_id = snapshot_id
        self.engine: SnapshotterProcess | None = None
        self.ended: SnapshotterResult | None = None
        self.progress = Progress(step="waiting")
        self.wants: dict[str, Want] = {}
        self.home_read = asyncio.Event()
        self.changed = asyncio.Event()
        self.over = asyncio.Event()
        self.asked_at = asyncio.get_running_loop().time()

    def hear(self, what: str, value: Json | list[Json]) -> None:
        """A line of the engine."""
        if what == "wants" and isinstance(value, list):
            self.wants = {f"{want['method']} {want['key']}": Want.model_validate(want) for want in value}
            if self.wants:
                self.changed.set()
        elif what == "progress":
            self.progress = Progress.model_validate(value)
        elif what == "homeRead":
            self.home_read.set()

    def waits_unasked(self, seconds: float) -> bool:
        """Whether it wants links, and nobody has asked about it for so long."""
        return bool(self.wants) and asyncio.get_running_loop().time() - self.asked_at > seconds

    def end(self, ended: SnapshotterResult) -> None:
        self.ended, self.wants = ended, {}
        if ended.receipt is not None:
            self.progress = self.progress.model_copy(update={"step": "done"})
        for event in (self.home_read, self.changed, self.over):
            event.set()

    def state(self) -> OperationState:
        ended = self.ended
        receipt = ended.receipt if ended else None
        return OperationState(
            operation_id=self.id,
            kind=self.kind,
            state="running" if ended is None else "failed" if receipt is None else "succeeded",
            progress=self.progress,
            wants=list(self.wants.values()),
            sync=SyncReceipt.model_validate(receipt) if receipt and self.kind == "sync" else None,
            restore=RestoreReceipt.model_validate(receipt) if receipt and self.kind == "restore" else None,
            code=ended.code if ended and receipt is None else None,
            error=ended.error if ended and receipt is None else None,
        )

"""Keep a run's end apart before anything else may write: the next run's agent, or an upload."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from uuid import UUID, uuid4

import structlog

from executor.process.account import AgentAccount
from executor.workspaces.home_filter import HomeFilter
from executor.workspaces.kept_ends import KeptEndFile, KeptEnds, UnsavedRun
from executor.workspaces.snapshotter_process import SnapshotterProcess, SnapshotterResult
from executor.workspaces.sync_operation import SyncOperation
from schema.errors import RunyardError
from schema.wire import Json
from schema.workspace_api import SyncWorkspace

KEEP_SECONDS = 10.0
"""A run waits at most this long until the end of the run before is kept."""
_SENT_AGAIN = frozenset({"store_failed", "abandoned", "engine_died"})
"""After these failures an end is uploaded again by the next save; after others it is given up."""

_log = structlog.stdlib.get_logger(__name__)


class EndKeeper:
    """Keep ends, and say which one the next save uploads.

    A run that begins holds `turn`, and so does an upload between runs: one end is read at a time, and neither writes
    meanwhile.
    """

    def __init__(
        self,
        session_id: UUID,
        *,
        roots: dict[str, str],
        state_dir: Path,
        account: AgentAccount,
        home_filter: Callable[[], HomeFilter],
    ) -> None:
        self._session_id = session_id
        self._roots = roots
        self._state_dir = state_dir
        self._account = account
        self._load_home_filter = home_filter
        self._snapshotter: SnapshotterProcess | None = None
        self.is_keeping = False
        self.turn = asyncio.Lock()
        self.ends = KeptEnds(state_dir)

    async def keep(self, run: UnsavedRun) -> str | None:
        """Keep the run's end, or give it up. Return None, or a sentence that says why not. The caller holds `turn`."""
        self.is_keeping = True
        try:
            result = await self._read_end(run)
            if result.receipt is not None and self.ends.unsaved == run:  # else a snapshot holds it by now
                self.ends.add(run.run_id)
        except RunyardError as error:
            result = SnapshotterResult(code=error.problem_code, error=error.detail)
        except TimeoutError:
            result = SnapshotterResult(code="end_too_slow", error=f"Reading it took more than {KEEP_SECONDS:g} s.")
        except OSError as error:
            result = SnapshotterResult(code="not_possible", error=f"The system refused: {error.strerror}.")
        finally:
            self.is_keeping = False
        self.ends.discard_new()
        self.ends.forget_unsaved(run)
        is_kept = result.receipt is not None
        _log.info("run_end.kept" if is_kept else "run_end.lost", runId=str(run.run_id), why=None if is_kept else result)
        return None if is_kept else result.error

    def next_to_send(self, request: SyncWorkspace, *, saved_end: UUID | None) -> KeptEndFile | None:
        """Return the end that this save uploads, None for a save of the present state."""
        self.ends.forget_committed(request.head)
        self.ends.forget_saved(saved_end)
        return self.ends.oldest

    def record_sent(self, operation: SyncOperation, result: SnapshotterResult) -> None:
        """Record how an upload of a kept end went. One that cannot be a snapshot is given up, with all that follow."""
        assert operation.kept_end is not None
        assert operation.snapshot_id is not None
        if result.receipt is not None:
            self.ends.mark_sent(operation.kept_end, operation.snapshot_id)
        elif result.code not in _SENT_AGAIN and operation.result is None:
            _log.warning("run_end.lost", runId=str(operation.kept_end.run_id), code=result.code, why=result.error)
            self.ends.clear()

    def kill(self) -> None:
        if self._snapshotter is not None:
            self._snapshotter.kill()

    async def _read_end(self, run: UnsavedRun) -> SnapshotterResult:
        home_filter = await asyncio.to_thread(self._load_home_filter)
        order: Json = {
            "kind": "keep_end",
            "sessionId": str(self._session_id),
            "snapshotId": str(uuid4()),
            "ignore": run.ignore,
            "mostBytes": self.ends.room(),
            **asdict(home_filter),
            **self._roots,
        }
        self._snapshotter = SnapshotterProcess(
            state_dir=self._state_dir, account=self._account, on_line=lambda _kind, _value: None
        )
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                return await self._snapshotter.run(order, file=self.ends.open_new())
        finally:
            self._snapshotter = None


def open_end(end: KeptEndFile) -> int:
    """Return a descriptor of the file for the snapshotter."""
    return os.open(end.path, os.O_RDONLY | os.O_CLOEXEC)

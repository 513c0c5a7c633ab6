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
from executor.workspaces.refusals import EndBeingKept
from executor.workspaces.snapshotter_process import SnapshotterProcess, SnapshotterResult
from executor.workspaces.sync_operation import SyncOperation
from schema.errors import RunyardError, Unavailable
from schema.wire import Json
from schema.workspace_api import SyncWorkspace

HELD_SECONDS = 3.0
"""A call waits at most this long for an end. Then its caller asks again, while the executor reads on."""
SAVE_SECONDS = 2.0
"""An end waits at most this long for a save that reads it, whose commit the executor cannot see. Then the executor
keeps the end, and only an end that was kept replaces a save that is still under way."""
STALLED_SECONDS = 300.0
"""An end is given up when its snapshotter has reported nothing new for this long. How long all of it takes never
matters."""
TRIES = 3
"""A snapshotter that dies is started again, until it has died this often."""
RUN_BEGAN = SnapshotterResult(code="run_began", error="A run began before the save had read everything. Save again.")
_SENT_AGAIN = frozenset({"store_failed", "abandoned", "engine_died"})
"""After these failures an end is uploaded again by the next save; after others it is given up."""

_log = structlog.stdlib.get_logger(__name__)


class EndKeeper:
    """Keep ends, and say which one the next save uploads.

    A run that begins holds `turn`, and so does an upload between runs. One end is read at a time, and neither writes
    meanwhile: their calls are refused until the end is kept. `lost` says why the last end was lost, until a run tells
    it. `current` returns the running save or restore.
    """

    def __init__(
        self,
        session_id: UUID,
        *,
        roots: dict[str, str],
        state_dir: Path,
        account: AgentAccount,
        home_filter: Callable[[], HomeFilter],
        current: Callable[[], SyncOperation | None],
    ) -> None:
        self._session_id = session_id
        self._roots = roots
        self._state_dir = state_dir
        self._account = account
        self._load_home_filter = home_filter
        self._current = current
        self._task: asyncio.Task[None] | None = None
        self._is_shutting_down = False
        self.is_reading = False
        self.lost: str | None = None
        self.turn = asyncio.Lock()
        self.ends = KeptEnds(state_dir)

    @property
    def is_keeping(self) -> bool:
        """Whether an end is being kept: nothing may write to the workspace meanwhile."""
        return self._task is not None and not self._task.done()

    async def have_kept(self, *, next_run: UUID | None) -> None:
        """Have the end of the last run kept, unless a snapshot holds it, or the same run goes on. The caller has waited
        by `wait_until_kept`, and holds `turn`. Raises as `wait_until_kept`."""
        unsaved = self.ends.unsaved
        if self.is_keeping:  # another call has begun it since: waiting here would add up for those behind
            raise EndBeingKept
        if unsaved is not None and unsaved.run_id != next_run:
            self._task = asyncio.create_task(self._keep_beside_save(unsaved))
        await self.wait_until_kept()

    async def wait_until_kept(self) -> None:
        """Wait for the end that is being kept, if any. Any number of calls may wait.

        Raises EndBeingKept after HELD_SECONDS, while the end is read on, and Unavailable during a shutdown.
        """
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=HELD_SECONDS)
        if self._is_shutting_down:
            raise Unavailable("The executor is shutting down. Retry with the next executor.")
        if self.is_keeping:
            raise EndBeingKept
        ended, self._task = self._task, None
        if ended is not None:
            ended.result()

    async def keep(self, run: UnsavedRun) -> str | None:
        """Keep the run's end, or give it up. Return None, or a sentence that says why not."""
        self.is_reading = True
        try:
            result = await self._read_until_end(run)
            if result.receipt is not None and self.ends.unsaved == run:  # else a snapshot holds it by now
                self.ends.add(run.run_id)
        except RunyardError as error:
            result = SnapshotterResult(code=error.problem_code, error=error.detail)
        except TimeoutError:
            result = SnapshotterResult(
                code="end_stalled", error=f"Reading it made no progress for {STALLED_SECONDS:g} s."
            )
        except OSError as error:
            result = SnapshotterResult(code="not_possible", error=f"The system refused: {error.strerror}.")
        finally:
            self.is_reading = False
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

    async def shut_down(self) -> None:
        """Stop keeping, and return once no snapshotter is left. The end stays to be kept, by the next executor."""
        self._is_shutting_down = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _keep_beside_save(self, run: UnsavedRun) -> None:
        saving = self._save_of_present()
        if saving is not None:
            await saving.is_over_within(SAVE_SECONDS)
        if self.ends.unsaved != run:  # a snapshot holds it by now
            return
        lost = await self.keep(run)
        self.lost = lost or self.lost
        saving = self._save_of_present()
        if lost is None and saving is not None:
            await saving.cancel(RUN_BEGAN)

    def _save_of_present(self) -> SyncOperation | None:
        current = self._current()
        return current if current is not None and current.saves_present else None

    async def _read_until_end(self, run: UnsavedRun) -> SnapshotterResult:
        for _ in range(TRIES - 1):
            result = await self._read_end(run)
            if result.receipt is not None or result.code != SnapshotterResult.code:
                return result
        return await self._read_end(run)

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
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(STALLED_SECONDS) as stalled:
            snapshotter = SnapshotterProcess(
                state_dir=self._state_dir,
                account=self._account,
                on_line=lambda _kind, _value: stalled.reschedule(loop.time() + STALLED_SECONDS),
            )
            return await snapshotter.run(order, file=self.ends.open_new())


def open_end(end: KeptEndFile) -> int:
    """Return a descriptor of the file for the snapshotter."""
    return os.open(end.path, os.O_RDONLY | os.O_CLOEXEC)

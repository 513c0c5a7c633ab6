"""The process host: run a session's executor as a child process on a fixed folder. It suits trials on one machine.

Executors outlive the job worker that started them. The next job worker finds them by their port files and adopts them.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psutil
import structlog

from jobs.hosts import GONE, HostFacts, HostFailed
from jobs.hosts.disk import low_disk
from jobs.hosts.executor_tokens import ExecutorTokens
from jobs.hosts.folder import FolderBusy, SessionFolder
from jobs.hosts.spares import Assignment, Spares
from jobs.runtime.executor_client import Endpoint, ExecutorClient, ExecutorError
from schema.executor_api import ExecutorHealth
from schema.logs import log_context
from schema.secret_keys import SecretKeys

STARTS_AT_ONCE = 2
FIRST_POLL_SECONDS = 0.01
LONGEST_POLL_SECONDS = 0.03
SILENT_SECONDS = 2.0
KILL_SECONDS = 5.0

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class ProcessHostSettings:
    """`environment` is every executor's; `stop_seconds` is the time for an orderly end.

    `spares` is the number of executors that wait for the next sessions. No worker is started while the disk has less
    than `least_free_mb` megabytes left.
    """

    workers: Path
    keys: SecretKeys
    environment: Mapping[str, str]
    start_timeout_seconds: float
    spares: int = 0
    least_free_mb: int = 0
    stop_seconds: float = 20.0


class ProcessHost:
    """Runs executors as child processes. It keeps its children to reap them; all other state is in the folders."""

    name = "process"

    def __init__(self, settings: ProcessHostSettings, *, executors: ExecutorClient) -> None:
        self._settings = settings
        self._executors = executors
        self._starts = threading.BoundedSemaphore(STARTS_AT_ONCE)
        self._children: dict[UUID, subprocess.Popen[bytes]] = {}
        self._tokens = ExecutorTokens(settings.keys)
        self._spares = Spares(settings.environment, count=settings.spares)

    def ensure_started(self, session_id: UUID, epoch: int) -> Endpoint:
        with log_context(sessionId=session_id), self._starts, self._locked(session_id):
            health = self._health(session_id)
            if health is not None and health.epoch > epoch:
                raise HostFailed("The session's worker already has a newer epoch.", code="stale_epoch")
            if health is None or health.epoch != epoch:
                self._prepare_folder(session_id, epoch, stop_seconds=self._seconds_to_end(health))
                self._start(session_id, epoch)
            return self._endpoint(session_id)

    def facts(self, session_id: UUID) -> HostFacts:
        folder = self._folder(session_id)
        try:
            volume_epoch, is_complete = folder.epoch, folder.is_complete
        except OSError as error:
            raise HostFailed(f"The folder {folder.root} is not readable: {error.strerror}.") from None
        if volume_epoch is None:
            return GONE
        listening, health = folder.listening(), self._health(session_id)
        if listening is not None and health is not None:
            endpoint = self._tokens.endpoint(listening.base_url, session_id, health)
            return HostFacts("alive", endpoint, volume_epoch=volume_epoch)
        if not self.is_dead(session_id):
            return HostFacts("silent", volume_epoch=volume_epoch)
        return HostFacts("dead", volume_epoch=volume_epoch) if is_complete else GONE

    def is_dead(self, session_id: UUID) -> bool:
        listening = self._folder(session_id).listening()
        return listening is None or listening.process is None

    def progress(self, session_id: UUID) -> tuple[int, ...] | None:
        """Count how often the main thread, which answers all calls, has given up the processor."""
        listening = self._folder(session_id).listening()
        process = listening.process if listening else None
        try:
            return None if process is None else (process.pid, *process.num_ctx_switches())
        except psutil.Error:
            return None

    def stop(self, session_id: UUID) -> None:
        if self._folder(session_id).exists():
            with self._locked(session_id):
                self._end(session_id, seconds=self._settings.stop_seconds)

    def remove(self, session_id: UUID) -> None:
        with self._locked(session_id):
            self._end(session_id, seconds=self._settings.stop_seconds)
            try:
                self._folder(session_id).delete()
            except OSError as error:
                raise HostFailed(f"The worker's folder could not be deleted: {error.strerror}.") from None

    def sessions(self) -> Mapping[UUID, bool]:
        running = {}
        for folder in self._settings.workers.glob("*"):
            with suppress(ValueError):
                session_id = UUID(folder.name)
                running[session_id] = not self.is_dead(session_id)
        return running

    def fault(self) -> str | None:
        workers = self._settings.workers
        if not os.access(workers, os.W_OK | os.X_OK):
            return f"The folder {workers} is missing or not writable."
        return low_disk(workers, below_mb=self._settings.least_free_mb, setting="DISK_STOP_FREE_MB")

    def look_after(self) -> None:
        for session_id, child in list(self._children.items()):
            if not self._folder(session_id).exists():
                child.kill()  # its folder was deleted: its work cannot be saved
            if child.poll() is not None and self._children.get(session_id) is child:
                del self._children[session_id]
        self._spares.refill()

    def _folder(self, session_id: UUID) -> SessionFolder:
        return SessionFolder(self._settings.workers / str(session_id))

    def _health(self, session_id: UUID) -> ExecutorHealth | None:
        """Return the health of the session's executor; None when none answers or another session has the port."""
        listening = self._folder(session_id).listening()
        if listening is None:
            return None
        try:
            health = self._executors.health(listening.base_url)
        except ExecutorError:
            return None
        return health if health.session_id == session_id else None

    def _endpoint(self, session_id: UUID) -> Endpoint:
        listening, health = self._folder(session_id).listening(), self._health(session_id)
        if listening is None or health is None:
            raise HostFailed("The session's executor ended just after its start.")
        return self._tokens.endpoint(listening.base_url, session_id, health)

    @contextmanager
    def _locked(self, session_id: UUID) -> Iterator[None]:
        """Serialize starts and stops of a session on this machine.

        The caller holds a lock in PostgreSQL too. This lock also works while PostgreSQL is away.
        """
        folder = self._folder(session_id)
        try:
            with folder.locked(seconds=self._settings.start_timeout_seconds):
                yield
        except FolderBusy:
            raise HostFailed(
                "Another process has been starting or stopping the session's worker for too long."
            ) from None

    def _seconds_to_end(self, health: ExecutorHealth | None) -> float:
        return SILENT_SECONDS if health is None else self._settings.stop_seconds

    def _prepare_folder(self, session_id: UUID, epoch: int, *, stop_seconds: float) -> None:
        """End a silent or older executor, set an older folder aside, and create the folder of this epoch."""
        folder = self._folder(session_id)
        try:
            self._end(session_id, seconds=stop_seconds)
            if folder.epoch not in (None, epoch):
                _log.warning("folder.put_aside", epoch=folder.epoch)
                folder.put_aside()
            folder.make(epoch)
        except OSError as error:
            raise HostFailed(f"The folder {folder.root} is not usable: {error.strerror}.") from None

    def _end(self, session_id: UUID, *, seconds: float) -> None:
        folder = self._folder(session_id)
        listening = folder.listening()
        process = listening.process if listening else None
        if process is not None:
            _log.info("executor.ending", pid=process.pid)
            _end_process(process, seconds=seconds)
        folder.port_file.unlink(missing_ok=True)

    def _start(self, session_id: UUID, epoch: int) -> None:
        folder = self._folder(session_id)
        began = time.monotonic()
        child = self._spawn(folder, session_id, epoch)
        try:
            self._wait_until_listening(session_id, child)
        except HostFailed:
            child.kill()
            child.wait()
            raise
        self._children[session_id] = child
        _log.info("executor.started", pid=child.pid, seconds=round(time.monotonic() - began, 3))

    def _spawn(self, folder: SessionFolder, session_id: UUID, epoch: int) -> subprocess.Popen[bytes]:
        folder.rotate_log()
        settings = self._executor_settings(folder, session_id, epoch)
        try:
            return self._spares.assign(Assignment(settings, folder.log))
        except OSError as error:
            raise HostFailed(f"The executor could not be started: {error.strerror}.") from None

    def _executor_settings(self, folder: SessionFolder, session_id: UUID, epoch: int) -> dict[str, str]:
        return {
            "EXECUTOR_AUTH_TOKEN": self._tokens.new(session_id, epoch),
            "EXECUTOR_SESSION_ID": str(session_id),
            "EXECUTOR_EPOCH": str(epoch),
            "EXECUTOR_HOST": "127.0.0.1",
            "EXECUTOR_PORT": "0",
            "EXECUTOR_PORT_FILE": str(folder.port_file),
            "EXECUTOR_WORKSPACE_DIR": str(folder.workspace),
            "EXECUTOR_AGENT_HOME": str(folder.agent),
            "EXECUTOR_STATE_DIR": str(folder.state),
        }

    def _wait_until_listening(self, session_id: UUID, child: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._settings.start_timeout_seconds
        pause = FIRST_POLL_SECONDS
        while not self._is_up(session_id, child.pid):
            if child.poll() is not None:
                last_line = self._folder(session_id).last_log_line()
                raise HostFailed(f"The executor ended with status {child.returncode} during its start: {last_line}")
            if time.monotonic() > deadline:
                raise HostFailed(
                    f"The executor did not answer within {self._settings.start_timeout_seconds:g} s of its start."
                )
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL_SECONDS)

    def _is_up(self, session_id: UUID, pid: int) -> bool:
        listening = self._folder(session_id).listening()
        return listening is not None and listening.pid == pid and self._health(session_id) is not None


def _end_process(process: psutil.Process, *, seconds: float) -> None:
    """End the process in order within `seconds`, then kill it. The next executor ends leftover agents."""
    try:
        process.terminate()
        _, remaining = psutil.wait_procs([process], timeout=seconds)
        if remaining:
            process.kill()
            psutil.wait_procs([process], timeout=KILL_SECONDS)
    except psutil.NoSuchProcess:
        return

"""The process host: a session's executor is a child process on one fixed folder. For trying out, on one machine.

Executors outlive the job worker that started them; the next one finds them by their port files and adopts them.
"""

from __future__ import annotations

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
from jobs.hosts.folder import FolderBusy, Listening, SessionFolder
from jobs.hosts.spares import Assignment, Spares
from jobs.runtime.executor_client import Endpoint, ExecutorClient, ExecutorError
from schema.executor_api import ExecutorHealth
from schema.logs import log_context
from schema.signature import executor_token

STARTS_AT_ONCE = 2
FIRST_POLL_SECONDS = 0.01
LONGEST_POLL_SECONDS = 0.03
SILENT_SECONDS = 2.0
KILL_SECONDS = 5.0

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class ProcessHostSettings:
    """`environment` is what every executor is given; `stop_seconds` is how long one may take to end in order;
    `spares` are kept waiting for the next sessions."""

    workers: Path
    secret: bytes
    environment: Mapping[str, str]
    start_timeout_seconds: float
    spares: int = 0
    stop_seconds: float = 20.0


class ProcessHost:
    """Holds the children that it started, to reap them; everything else is in their folders."""

    name = "process"

    def __init__(self, settings: ProcessHostSettings, *, executors: ExecutorClient) -> None:
        self._settings = settings
        self._executors = executors
        self._starts = threading.BoundedSemaphore(STARTS_AT_ONCE)
        self._children: dict[UUID, subprocess.Popen[bytes]] = {}
        self._spares = Spares(settings.environment, count=settings.spares)

    def ensure_started(self, session_id: UUID, epoch: int) -> Endpoint:
        with log_context(sessionId=session_id), self._starts, self._alone(session_id):
            if not self._is_there(session_id, epoch):
                self._make_way(session_id, epoch)
                self._start(session_id, epoch)
            return self._endpoint(session_id, epoch)

    def facts(self, session_id: UUID) -> HostFacts:
        folder = self._folder(session_id)
        try:
            place_epoch, is_whole = folder.epoch, folder.is_whole
        except OSError as error:
            raise HostFailed(f"The folder {folder.root} cannot be read: {error.strerror}.") from None
        if place_epoch is None:
            return GONE
        listening, health = folder.listening(), self._health(session_id)
        if listening is not None and health is not None:
            endpoint = self._endpoint_of(listening, session_id, health.epoch)
            return HostFacts("alive", endpoint, place_epoch=place_epoch)
        if not self.is_dead(session_id):
            return HostFacts("silent", place_epoch=place_epoch)
        return HostFacts("dead", place_epoch=place_epoch) if is_whole else GONE

    def is_dead(self, session_id: UUID) -> bool:
        listening = self._folder(session_id).listening()
        return listening is None or listening.process is None

    def stop(self, session_id: UUID) -> None:
        if self._folder(session_id).exists():
            with self._alone(session_id):
                self._end(session_id, seconds=self._settings.stop_seconds)

    def remove(self, session_id: UUID) -> None:
        with self._alone(session_id):
            self._end(session_id, seconds=self._settings.stop_seconds)
            try:
                self._folder(session_id).delete()
            except OSError as error:
                raise HostFailed(f"The folder of the worker cannot be deleted: {error.strerror}.") from None

    def sessions(self) -> Mapping[UUID, bool]:
        found = {}
        for folder in self._settings.workers.glob("*"):
            with suppress(ValueError):
                session_id = UUID(folder.name)
                found[session_id] = not self.is_dead(session_id)
        return found

    def look_after(self) -> None:
        for session_id, child in list(self._children.items()):
            if not self._folder(session_id).exists():
                child.kill()  # its folder was deleted under it: nothing that it does can last
            if child.poll() is not None and self._children.get(session_id) is child:
                del self._children[session_id]
        self._spares.refill()

    def _folder(self, session_id: UUID) -> SessionFolder:
        return SessionFolder(self._settings.workers / str(session_id))

    def _health(self, session_id: UUID) -> ExecutorHealth | None:
        """Of the executor that listens for this session; None when none does, or another has its port."""
        listening = self._folder(session_id).listening()
        if listening is None:
            return None
        try:
            health = self._executors.health(listening.base_url)
        except ExecutorError:
            return None
        return health if health.session_id == session_id else None

    def _endpoint(self, session_id: UUID, epoch: int) -> Endpoint:
        listening = self._folder(session_id).listening()
        if listening is None:
            raise HostFailed("The session's executor ended just after it had started.")
        return self._endpoint_of(listening, session_id, epoch)

    def _endpoint_of(self, listening: Listening, session_id: UUID, epoch: int) -> Endpoint:
        return Endpoint(listening.base_url, executor_token(self._settings.secret, session_id=session_id, epoch=epoch))

    @contextmanager
    def _alone(self, session_id: UUID) -> Iterator[None]:
        """One at a time per session on this machine. Whoever calls holds a lock in PostgreSQL too; this one also holds
        while PostgreSQL is away."""
        folder = self._folder(session_id)
        try:
            with folder.held(seconds=self._settings.start_timeout_seconds):
                yield
        except FolderBusy:
            raise HostFailed("The session's worker is being started or stopped, for too long already.") from None

    def _is_there(self, session_id: UUID, epoch: int) -> bool:
        health = self._health(session_id)
        if health is not None and health.epoch > epoch:
            raise HostFailed("The session's worker is of a newer epoch already.", code="stale_epoch")
        return health is not None and health.epoch == epoch

    def _make_way(self, session_id: UUID, epoch: int) -> None:
        """End an executor that does not answer or is of an older epoch, and see that the folder is of this one."""
        folder = self._folder(session_id)
        is_silent = self._health(session_id) is None
        try:
            self._end(session_id, seconds=SILENT_SECONDS if is_silent else self._settings.stop_seconds)
            if folder.epoch not in (None, epoch):
                _log.warning("place.put_aside", epoch=folder.epoch)
                folder.put_aside()
            folder.make(epoch)
        except OSError as error:
            raise HostFailed(f"The folder {folder.root} cannot be used: {error.strerror}.") from None

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
            raise HostFailed(f"The executor cannot be started: {error.strerror}.") from None

    def _executor_settings(self, folder: SessionFolder, session_id: UUID, epoch: int) -> dict[str, str]:
        return {
            "EXECUTOR_AUTH_TOKEN": executor_token(self._settings.secret, session_id=session_id, epoch=epoch),
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
                words = self._folder(session_id).last_words()
                raise HostFailed(f"The executor ended with status {child.returncode} while starting: {words}")
            if time.monotonic() > deadline:
                raise HostFailed(f"The executor was not up within {self._settings.start_timeout_seconds:g} s.")
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL_SECONDS)

    def _is_up(self, session_id: UUID, pid: int) -> bool:
        listening = self._folder(session_id).listening()
        return listening is not None and listening.pid == pid and self._health(session_id) is not None


def _end_process(process: psutil.Process, *, seconds: float) -> None:
    """In order if it can within `seconds`, else by force. What its agent leaves is ended by the next executor."""
    try:
        process.terminate()
        _, left = psutil.wait_procs([process], timeout=seconds)
        if left:
            process.kill()
            psutil.wait_procs([process], timeout=KILL_SECONDS)
    except psutil.NoSuchProcess:
        return

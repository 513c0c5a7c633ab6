"""The process host: a session's executor is a child process on one fixed folder. For trying out, on one machine.

Executors outlive the job worker that started them; the next one finds them by their port files and adopts them.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psutil
import psycopg
import structlog

from handlers.read_run import workers
from handlers.worker import hold_worker, worker_active, worker_lost, worker_starting, worker_stopped
from jobs.database import Database
from jobs.executor_client import Endpoint, ExecutorClient, ExecutorError
from jobs.hosts import HostFacts, HostFailed
from jobs.hosts.folder import Folder, FolderBusy
from jobs.hosts.spares import Assignment, Spares
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
    idle_seconds: float
    spares: int = 0
    stop_seconds: float = 20.0


class ProcessHost:
    """Holds the children that it started, to reap them; everything else is in their folders."""

    def __init__(self, settings: ProcessHostSettings, *, executors: ExecutorClient, database: Database) -> None:
        self._settings = settings
        self._executors = executors
        self._database = database
        self._starts = threading.BoundedSemaphore(STARTS_AT_ONCE)
        self._children: dict[UUID, subprocess.Popen[bytes]] = {}
        self._known: set[UUID] = set()
        self._has_adopted = False
        self._spares = Spares(settings.environment, count=settings.spares)

    def ensure_started(self, session_id: UUID, epoch: int) -> Endpoint:
        health = self._health(session_id)
        if session_id in self._known and health is not None and health.epoch == epoch:
            return self._endpoint(session_id, epoch)
        with log_context(sessionId=session_id), self._starts, self._alone(session_id):
            self._make_way(session_id, epoch)
            self._database.transact(worker_starting, session_id, epoch=epoch, host="process")
            if self._health(session_id) is None:
                self._start(session_id, epoch)
            endpoint = self._endpoint(session_id, epoch)
            self._database.transact(worker_active, session_id, epoch=epoch, base_url=endpoint.base_url)
            self._known.add(session_id)
        return endpoint

    def facts(self, session_id: UUID) -> HostFacts:
        folder = self._folder(session_id)
        if not folder.exists():
            return HostFacts("absent")
        health = self._health(session_id)
        if health is not None:
            return HostFacts("alive", self._endpoint(session_id, health.epoch))
        return HostFacts("dead" if self.is_dead(session_id) else "silent")

    def is_dead(self, session_id: UUID) -> bool:
        folder = self._folder(session_id)
        listening = folder.listening()
        return folder.exists() and (listening is None or listening.process is None)

    def stop(self, session_id: UUID) -> None:
        if not self._folder(session_id).exists():
            return
        with self._alone(session_id):
            self._end(session_id, seconds=self._settings.stop_seconds)
        self._database.transact(worker_stopped, session_id)

    def look_after(self) -> None:
        """An executor that ended without a run had been idle; one with a run is started again by whoever misses it."""
        if not self._has_adopted:
            self._adopt()
        for session_id, child in list(self._children.items()):
            if child.poll() is not None and self._children.get(session_id) is child:
                del self._children[session_id]
        self._spares.refill()
        for session_id in [each for each in list(self._known) if self.is_dead(each)]:
            self._known.discard(session_id)
            self._database.transact(worker_stopped, session_id)

    def _adopt(self) -> None:
        """Take over what an earlier job worker has left running here."""
        rows = self._database.transact(workers)
        self._known |= {row.session_id for row in rows if row.host == "process" and row.status == "active"}
        self._has_adopted = True

    def _folder(self, session_id: UUID) -> Folder:
        return Folder(self._settings.workers / str(session_id))

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
        return Endpoint(listening.base_url, executor_token(self._settings.secret, session_id=session_id, epoch=epoch))

    @contextmanager
    def _alone(self, session_id: UUID) -> Iterator[None]:
        """One at a time per session: in the whole system by a lock in PostgreSQL, on this machine by one on the
        folder, which also holds while PostgreSQL is away."""
        seconds = self._settings.start_timeout_seconds
        folder = self._folder(session_id)
        with ExitStack() as locks:
            try:
                conn = locks.enter_context(self._database.dedicated())
                conn.execute("SELECT set_config('lock_timeout', %s, false)", (f"{seconds:.0f}s",))
                hold_worker(conn, session_id)
                folder.make()
                locks.enter_context(folder.held(seconds=seconds))
            except (psycopg.errors.LockNotAvailable, FolderBusy):
                raise HostFailed("The session's worker is being started or stopped, for too long already.") from None
            except OSError as error:
                raise HostFailed(f"The folder {folder.root} cannot be used: {error.strerror}.") from None
            yield

    def _make_way(self, session_id: UUID, epoch: int) -> None:
        """End an executor that does not answer, or that is of an older epoch."""
        health = self._health(session_id)
        if health is not None and health.epoch == epoch:
            return
        if health is not None and health.epoch > epoch:
            raise HostFailed("The session's worker is of a newer epoch already.", code="stale_epoch")
        self._end(session_id, seconds=SILENT_SECONDS if health is None else self._settings.stop_seconds)

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
        except HostFailed as error:
            child.kill()
            child.wait()
            self._database.transact(worker_lost, session_id, epoch=epoch, error=error.detail)
            raise
        self._children[session_id] = child
        _log.info("executor.started", pid=child.pid, seconds=round(time.monotonic() - began, 3))

    def _spawn(self, folder: Folder, session_id: UUID, epoch: int) -> subprocess.Popen[bytes]:
        folder.rotate_log()
        settings = self._executor_settings(folder, session_id, epoch)
        try:
            return self._spares.assign(Assignment(settings, folder.log))
        except OSError as error:
            raise HostFailed(f"The executor cannot be started: {error.strerror}.") from None

    def _executor_settings(self, folder: Folder, session_id: UUID, epoch: int) -> dict[str, str]:
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
            "EXECUTOR_IDLE_EXIT_SECONDS": str(self._settings.idle_seconds),
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

"""A session's folder on the process host, and the executor whose port file is in it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

LOG_BYTES = 10 * 1024 * 1024
LOCK_POLL_SECONDS = 0.02


class FolderBusy(Exception):
    """Another process has locked this folder for too long."""


@dataclass(frozen=True)
class ListeningExecutor:
    """An executor by its port file. `lock` is the file that the executor keeps locked while it lives."""

    pid: int
    port: int
    lock: Path

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> psutil.Process | None:
        """The executor's process; None when it ended.

        A process without the lock has reused the id. Start times cannot tell: setting the clock moves them.
        """
        try:
            process = psutil.Process(self.pid)
            return process if process.status() != psutil.STATUS_ZOMBIE and _is_locked(self.lock) else None
        except psutil.NoSuchProcess:
            return None


@dataclass(frozen=True)
class SessionFolder:
    """`<data>/workers/<session id>`: it outlives its executor and holds all that the next executor needs.

    Next to it are its lock, `<session id>.lock`, and its older epochs, `<session id>.epoch-<number>`.
    """

    root: Path

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def agent(self) -> Path:
        return self.root / "agent"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def port_file(self) -> Path:
        return self.root / "executor.json"

    @property
    def log(self) -> Path:
        return self.root / "executor.log"

    @property
    def epoch_file(self) -> Path:
        return self.root / "epoch"

    def exists(self) -> bool:
        return self.root.is_dir()

    @property
    def epoch(self) -> int | None:
        """The epoch that the folder was made for; None without a folder. Raises OSError for a damaged file.

        A folder without an epoch file predates these files, and belongs to epoch 1.
        """
        try:
            epoch = self.epoch_file.read_text()
        except (FileNotFoundError, NotADirectoryError):
            return 1 if self.exists() else None
        if not epoch.isdecimal():
            raise OSError(errno.EINVAL, "its epoch file is damaged")
        return int(epoch)

    @property
    def is_complete(self) -> bool:
        """Whether the workspace and the home exist. The executor can create its state again."""
        return self.workspace.is_dir() and self.agent.is_dir()

    def make(self, epoch: int) -> None:
        for folder in (self.root, self.workspace, self.agent, self.state):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        if not self.epoch_file.exists():
            new = self.epoch_file.with_suffix(".new")
            new.write_text(str(epoch))
            new.replace(self.epoch_file)

    def put_aside(self) -> None:
        """Rename the folder for a newer epoch. A person may still look for unsaved files in it."""
        self.root.rename(self.root.with_name(f"{self.root.name}.epoch-{self.epoch}"))

    def delete(self) -> None:
        """Delete the folder and its older epochs. Do nothing without a folder."""
        if self.exists():
            self.put_aside()  # atomic: a partly deleted folder must not pass for the session's volume
        for folder in self.root.parent.glob(f"{self.root.name}.epoch-*"):
            _delete_tree(folder)

    def listening(self) -> ListeningExecutor | None:
        """Return the executor of the port file; None when no executor wrote one or it ended in order."""
        try:
            port_file = json.loads(self.port_file.read_text())
            return ListeningExecutor(int(port_file["pid"]), int(port_file["port"]), self.state / "executor.lock")
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @contextmanager
    def locked(self, *, seconds: float) -> Iterator[None]:
        """Lock the folder against starts and stops by other processes. Raise FolderBusy after `seconds`.

        The lock file outlives the folder: deleting it would let two processes hold the lock.
        """
        lock = self.root.with_name(f"{self.root.name}.lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor, deadline=time.monotonic() + seconds)
            yield
        finally:
            os.close(descriptor)

    def rotate_log(self) -> None:
        """Rename a large log to `.log.1`, replacing the older one."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))

    def last_log_line(self) -> str:
        """Return the log's last line, shortened; an empty string without a log."""
        try:
            lines = self.log.read_bytes()[-4096:].decode(errors="replace").splitlines()
        except OSError:
            return ""
        return lines[-1][-500:] if lines else ""


def _delete_tree(folder: Path) -> None:
    """Delete a folder, including folders that an agent made unwritable."""
    for inner, folders, _ in os.walk(folder):
        for name in folders:
            path = os.path.join(inner, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    shutil.rmtree(folder)


def _is_locked(file: Path) -> bool:
    """Whether any process locks the file. False without a file."""
    try:
        with file.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _lock(descriptor: int, *, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise FolderBusy from None
            time.sleep(LOCK_POLL_SECONDS)
        else:
            return

"""One session's fixed folder on the process host, and the executor that says in it where it listens."""

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
    """Another process has been at work on this folder for too long."""


@dataclass(frozen=True)
class Listening:
    """What a port file says. `lock` is the file that the executor has locked for as long as it lives."""

    pid: int
    port: int
    lock: Path

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> psutil.Process | None:
        """The process, if it lives. Without the lock it is another that has the same id. Clocks could not tell: when
        the machine's is set, what they say of a process's start moves, and what was written does not."""
        try:
            process = psutil.Process(self.pid)
            return process if process.status() != psutil.STATUS_ZOMBIE and _is_locked(self.lock) else None
        except psutil.NoSuchProcess:
            return None


@dataclass(frozen=True)
class SessionFolder:
    """`<data>/workers/<session id>`: it stays when its executor ends, and holds all that the next one needs.

    Beside it may lie its lock, `<session id>.lock`, and what it was in older epochs, `<session id>.epoch-<number>`."""

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
        """The epoch that it was made for; None when it is not there. One without a mark is older than marks are, and
        then there was no epoch but the first. Raises OSError."""
        try:
            mark = self.epoch_file.read_text()
        except (FileNotFoundError, NotADirectoryError):
            return 1 if self.exists() else None
        if not mark.isdecimal():
            raise OSError(errno.EINVAL, "the mark of its epoch is damaged")
        return int(mark)

    @property
    def is_whole(self) -> bool:
        """Whether all is there that must not be lost; its state can be made anew."""
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
        """Make way for a newer epoch: what no snapshot had may still be looked for here by a person."""
        self.root.rename(self.root.with_name(f"{self.root.name}.epoch-{self.epoch}"))

    def delete(self) -> None:
        """All of it, older epochs too. Nothing happens when there is nothing."""
        if self.exists():
            self.put_aside()  # whole or not at all: half a folder is nobody's place
        for folder in self.root.parent.glob(f"{self.root.name}.epoch-*"):
            _delete_tree(folder)

    def listening(self) -> Listening | None:
        """None when no executor has said that it listens, or it has ended in order since."""
        try:
            found = json.loads(self.port_file.read_text())
            return Listening(int(found["pid"]), int(found["port"]), self.state / "executor.lock")
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @contextmanager
    def held(self, *, seconds: float) -> Iterator[None]:
        """Nobody else on this machine starts or stops the executor meanwhile. Raises FolderBusy after `seconds`.

        The file stays when the folder goes: who deletes a lock's file lets two have the lock."""
        lock = self.root.with_name(f"{self.root.name}.lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor, deadline=time.monotonic() + seconds)
            yield
        finally:
            os.close(descriptor)

    def rotate_log(self) -> None:
        """Put a large log aside; one such is kept."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))

    def last_words(self) -> str:
        """The log's last line, shortened."""
        try:
            lines = self.log.read_bytes()[-4096:].decode(errors="replace").splitlines()
        except OSError:
            return ""
        return lines[-1][-500:] if lines else ""


def _delete_tree(folder: Path) -> None:
    """Also what an agent has made unwritable for itself."""
    for inner, folders, _ in os.walk(folder):
        for name in folders:
            path = os.path.join(inner, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    shutil.rmtree(folder)


def _is_locked(file: Path) -> bool:
    """By anybody; False when there is no such file."""
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

"""One supervisor per clone: its lock, and the record of its child processes.

The kernel releases the lock (flock) when the process ends, however it ends. The next start reads the record to stop
leftover processes. A process matches the record only with the same id and the same start time.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import psutil

from cli.local.data_dir import DataDir, write_private
from cli.local.postgres import postgres_dsn
from cli.local.processes import end, family, process_of
from cli.local.session_workers import agents, executors
from schema.sealed_environment import BadSecretFile, secrets_from_files

GRACE_SECONDS = 5.0
TOLD_SETTINGS = ("RUNYARD_PUBLIC_URL", "WORKER_IDLE_STOP_SECONDS", "WORKER_REMOVE_AFTER_SECONDS")
"""Settings without secrets, which agents of this account can read in the record."""
NOT_RUNNING = "Runyard is not running for this clone. Start it with make up"


class AlreadyRunning(Exception):
    """Another supervisor holds this clone's lock."""


@dataclass(frozen=True)
class Running:
    """A running supervisor: its process id, its URL, its children by name as (id, start in Unix seconds), and those of
    its settings that other commands need (TOLD_SETTINGS)."""

    pid: int
    url: str
    children: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def hold_lock(data_dir: DataDir) -> Iterator[None]:
    """Hold the clone's lock. Raise AlreadyRunning when another supervisor holds it."""
    descriptor = os.open(data_dir.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning from error
        yield
    finally:
        os.close(descriptor)


def write_running(data_dir: DataDir, running: Running) -> None:
    write_private(data_dir.running, json.dumps(asdict(running)))


def read_running(data_dir: DataDir) -> Running | None:
    """Return the last start's record; None after an orderly stop. The supervisor may have been killed since."""
    try:
        record = json.loads(data_dir.running.read_text())
    except (FileNotFoundError, ValueError):
        return None
    children = {name: (int(pid), float(started)) for name, (pid, started) in record["children"].items()}
    settings = {str(name): str(value) for name, value in record.get("settings", {}).items()}
    return Running(pid=record["pid"], url=record["url"], children=children, settings=settings)


def told_settings(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in TOLD_SETTINGS if environ.get(name)}


def is_running(data_dir: DataDir) -> bool:
    """Whether a supervisor of this clone lives."""
    try:
        with hold_lock(data_dir):
            return False
    except FileNotFoundError:
        return False
    except AlreadyRunning:
        return True


def running_url(data_dir: DataDir) -> str | None:
    """Return the URL of the recorded supervisor; None when it does not live.

    Leave its lock alone: a start at this moment must not fail.
    """
    running = read_running(data_dir)
    try:
        if running is None or _was_reused(data_dir, psutil.Process(running.pid)):
            return None
    except (psutil.Error, FileNotFoundError):
        return None
    return running.url


def uses_other_database(data_dir: DataDir, environ: Mapping[str, str]) -> bool:
    """Whether DATABASE_URL or its file names a database other than this clone's own (see `python -m cli env`).

    So does a file that cannot be read: the program that needs it says why.
    """
    try:
        named = {**environ, **secrets_from_files(environ, ["DATABASE_URL"])}
    except BadSecretFile:
        return True
    return named.get("DATABASE_URL", "") not in ("", postgres_dsn(data_dir.postgres))


def running_settings(data_dir: DataDir, environ: Mapping[str, str]) -> dict[str, str]:
    """Return TOLD_SETTINGS of the running supervisor, for other commands of the same clone.

    Return `environ` when no supervisor runs here, or when DATABASE_URL names another Runyard.
    """
    running = None if uses_other_database(data_dir, environ) else read_running(data_dir)
    if running is None or running_url(data_dir) is None:
        return dict(environ)
    return dict(running.settings)


def _was_reused(data_dir: DataDir, supervisor: psutil.Process) -> bool:
    """Whether another process has the recorded id now."""
    return supervisor.create_time() > data_dir.running.stat().st_mtime


def forget_running(data_dir: DataDir) -> None:
    data_dir.running.unlink(missing_ok=True)


def stop_leftovers(data_dir: DataDir) -> list[str]:
    """Stop the processes that a killed supervisor left, and return their names.

    Keep PostgreSQL: its own start stops it. Keep executors: their runs continue until the new job worker adopts them.
    """
    running = read_running(data_dir)
    leftovers: dict[str, psutil.Process] = {}
    for name, (pid, started_at) in (running.children if running else {}).items():
        process = process_of(pid, started_at=started_at)
        if process is not None and name != "postgres":
            leftovers[name] = process
    spared = {process.pid for process in (*executors(data_dir), *agents(data_dir))} if leftovers else set()
    processes = [member for process in leftovers.values() for member in family(process) if member.pid not in spared]
    end(processes, grace_seconds=GRACE_SECONDS)
    return list(leftovers)

"""One supervisor per clone: the lock that it holds while it lives, and the record of what it started.

The lock is the kernel's (flock), so it goes with its process, however that ends. The record then tells the next start
what may be left: a process counts as ours only with the same id and the same time of its beginning.
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

GRACE_SECONDS = 5.0


class AlreadyRunning(Exception):
    """Another supervisor holds this clone's lock."""


@dataclass(frozen=True)
class Running:
    """What runs here: the supervisor's id, its address, and its children by name as (id, seconds since 1970)."""

    pid: int
    url: str
    children: Mapping[str, tuple[int, float]] = field(default_factory=dict)


@contextmanager
def hold_lock(places: DataDir) -> Iterator[None]:
    """Raises AlreadyRunning."""
    descriptor = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning from error
        yield
    finally:
        os.close(descriptor)


def write_running(places: DataDir, running: Running) -> None:
    write_private(places.running, json.dumps(asdict(running)))


def read_running(places: DataDir) -> Running | None:
    """What the last start wrote; None when it ended in order, or there was none. It may have been killed since."""
    try:
        found = json.loads(places.running.read_text())
    except (FileNotFoundError, ValueError):
        return None
    children = {name: (int(pid), float(started)) for name, (pid, started) in found["children"].items()}
    return Running(pid=found["pid"], url=found["url"], children=children)


def names_another(places: DataDir, environ: Mapping[str, str]) -> bool:
    """Whether DATABASE_URL leads elsewhere than to this clone's own database, which `python -m cli env` prints."""
    return environ.get("DATABASE_URL", "") not in ("", postgres_dsn(places.postgres))


def told(places: DataDir, environ: Mapping[str, str]) -> dict[str, str]:
    """The settings of what runs here, for other commands of the same clone: those that its supervisor was given, which
    this shell may not have. What this shell says otherwise where nothing runs, or DATABASE_URL names another Runyard.
    """
    running = None if names_another(places, environ) else read_running(places)
    if running is None:
        return dict(environ)
    try:
        supervisor = psutil.Process(running.pid)
        is_another = supervisor.create_time() > places.running.stat().st_mtime  # it was killed, and its id given again
        return dict(environ) if is_another else supervisor.environ()
    except (psutil.Error, FileNotFoundError):
        return dict(environ)


def forget_running(places: DataDir) -> None:
    places.running.unlink(missing_ok=True)


def stop_leftovers(places: DataDir) -> list[str]:
    """Stop what a killed supervisor left; names of what that was.

    Not PostgreSQL, its own start does that; and not executors, whose runs go on until the new job worker adopts them.
    """
    running = read_running(places)
    left: dict[str, psutil.Process] = {}
    for name, (pid, started_at) in (running.children if running else {}).items():
        process = process_of(pid, started_at=started_at)
        if process is not None and name != "postgres":
            left[name] = process
    spared = {process.pid for process in (*executors(places), *agents(places))} if left else set()
    everything = [member for process in left.values() for member in family(process) if member.pid not in spared]
    end(everything, grace_seconds=GRACE_SECONDS)
    return list(left)

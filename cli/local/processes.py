"""Start child processes that end with their parent, and end them without leaving any behind.

The kernel signals a child (PR_SET_PDEATHSIG) when the thread that started it ends, so start children from the main
thread. Only Linux has this signal. Elsewhere a killed parent leaves its children, and the next start stops them by
their record (see pidfile.py).
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from cli.local.own_secrets import shown
from schema.prctl import die_with_parent

LOG_BYTES = 10 * 1024 * 1024


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: int | None = None,
    when_parent_dies: signal.Signals = signal.SIGTERM,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a child in its own session, so that Ctrl-C does not reach it. Append its output to `log`.

    Without `env` the child has what this process's environment may show.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            command,
            env=shown(os.environ) if env is None else env,
            cwd=cwd,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
            preexec_fn=_end_with(os.getpid(), when_parent_dies),  # noqa: PLW1509  one thread; only calls prctl
        )
    finally:
        os.close(descriptor)


def _end_with(parent: int, sig: signal.Signals) -> Callable[[], None]:
    def in_child() -> None:
        die_with_parent(sig)
        if os.getppid() != parent:  # the parent died before prctl
            os._exit(1)

    return in_child


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def family(process: psutil.Process) -> list[psutil.Process]:
    """Return the process and its descendants; an empty list when it has ended."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def signal_all(processes: Iterable[psutil.Process], sig: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(sig)
        except psutil.NoSuchProcess:
            continue


def end(
    processes: Sequence[psutil.Process], *, first: signal.Signals = signal.SIGTERM, grace_seconds: float
) -> list[psutil.Process]:
    """Send `first`, wait up to `grace_seconds`, kill the remaining processes. Return the killed ones."""
    signal_all(processes, first)
    _, stubborn = psutil.wait_procs(processes, timeout=grace_seconds)
    signal_all(stubborn, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=5)
    return stubborn


def process_of(pid: int, *, started_at: float) -> psutil.Process | None:
    """Return the process with this id and start time (Unix seconds); None when it ended or the id was reused."""
    try:
        process = psutil.Process(pid)
        return process if abs(process.create_time() - started_at) < 1 else None
    except psutil.NoSuchProcess:
        return None


def rotate_log(log: Path, *, above_bytes: int = LOG_BYTES) -> None:
    """Rename a log above `above_bytes` to `.1`, replacing the older one. Call it only while no process writes."""
    if log.exists() and log.stat().st_size > above_bytes:
        log.replace(log.with_name(f"{log.name}.1"))


def log_bytes(log: Path) -> int:
    """Return a log's size; 0 when it is missing."""
    return log.stat().st_size if log.exists() else 0


def last_lines(log: Path, *, count: int = 15, since: int = 0) -> str:
    """Return the last `count` lines of a log after its first `since` bytes; an empty string when it is missing."""
    if not log.exists():
        return ""
    with log.open("rb") as stream:
        stream.seek(max(since, log.stat().st_size - 16 * 1024))
        text = stream.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-count:])


def describe_end(returncode: int) -> str:
    """Describe a child's exit status in words."""
    if returncode < 0:
        return f"was killed by {signal.Signals(-returncode).name}"
    return f"ended with status {returncode}"

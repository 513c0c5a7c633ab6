"""Child processes that end with their parent, and the way to end them so that none is left behind.

A child is asked to end by a signal of the kernel (PR_SET_PDEATHSIG) when the thread that started it ends: so start
children from the main thread. Where the system has no such signal (anything but Linux), a killed parent leaves them,
and the next start stops them by their record (see running.py).
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LOG_BYTES = 10 * 1024 * 1024

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: int | None = None,
    when_parent_dies: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own (a Ctrl-C in our terminal is ours alone), its output added to `log`."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with(os.getpid(), when_parent_dies),  # noqa: PLW1509  one thread, and it calls only prctl
        )
    finally:
        os.close(descriptor)


def _end_with(parent: int, sig: signal.Signals) -> Callable[[], None] | None:
    if _libc is None:
        return None
    prctl = _libc.prctl

    def in_child() -> None:
        prctl(PR_SET_PDEATHSIG, int(sig))
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return in_child


def become_subreaper() -> None:
    """Orphans among our descendants become our children, so that we can end them."""
    if _libc is not None:
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1)


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def family(process: psutil.Process) -> list[psutil.Process]:
    """The process and all below it; empty when it is gone."""
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
    """Send `first`, wait up to the grace, kill what is left; returned is what had to be killed."""
    signal_all(processes, first)
    _, stubborn = psutil.wait_procs(processes, timeout=grace_seconds)
    signal_all(stubborn, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=5)
    return stubborn


def process_of(pid: int, *, started_at: float) -> psutil.Process | None:
    """The process with this id if it is still the one that began then (seconds since 1970); ids are used again."""
    try:
        process = psutil.Process(pid)
        return process if abs(process.create_time() - started_at) < 1 else None
    except psutil.NoSuchProcess:
        return None


def rotate_log(log: Path, *, above_bytes: int = LOG_BYTES) -> None:
    """Put a large log aside (`.1`, one is kept). Only while nobody writes to it."""
    if log.exists() and log.stat().st_size > above_bytes:
        log.replace(log.with_name(f"{log.name}.1"))


def last_lines(log: Path, *, count: int = 15) -> str:
    """The end of a log; empty when there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 16 * 1024))
        text = stream.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-count:])


def describe_end(returncode: int) -> str:
    """How a child ended, in words."""
    if returncode < 0:
        return f"was killed by {signal.Signals(-returncode).name}"
    return f"ended with status {returncode}"

"""Kill the processes that an agent left behind.

A process with the session's marker in its environment belongs to the agent, whatever its parent is now. As a child
subreaper the executor also inherits orphaned processes, and so can reap them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from uuid import UUID

import psutil

from executor.process.account import SESSION_MARKER, AgentAccount


def marked_processes(session_id: UUID) -> list[psutil.Process]:
    """Return all processes that carry the session's marker, except this one."""
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and _has_marker(process, str(session_id))
    ]


def processes_of(account: AgentAccount) -> list[psutil.Process]:
    """Return all processes of the agents' account, except the executor's helpers. Empty when agents use our own
    account."""
    if not account.is_another:
        return []
    return [
        process for process in psutil.process_iter() if process.pid not in helpers and _runs_as(process, account.uid)
    ]


def surviving_commands(session_id: UUID, pid: int, known: Iterable[psutil.Process]) -> list[str]:
    """Return the command lines of processes that outlived the agent `pid`, without those of its own programs.

    Empty while the agent itself lives: then nothing tells its helpers from what it left behind. Blocks for at most
    0.5 s, in which helpers may still end.
    """
    if psutil.pid_exists(pid):
        return []
    candidates = {process.pid: process for process in [*known, *marked_processes(session_id)] if _lives(process)}
    _, alive = psutil.wait_procs(list(candidates.values()), timeout=0.5)
    return sorted(filter(None, (_command_of(process) for process in alive if _lives(process))))


def _command_of(process: psutil.Process) -> str:
    """Return the command line, or nothing for a program of the agents' folder."""
    try:
        words = process.cmdline()
    except (psutil.Error, OSError):
        return ""
    is_agents_own = any("/node_modules/" in word for word in words[:2])
    return "" if is_agents_own else " ".join(words)


def kill_leftovers(session_id: UUID, account: AgentAccount, known: Iterable[psutil.Process] = ()) -> int:
    """Kill every process of the session's agent, and those in `known`. Return how many it killed.

    Blocks for at most 2 s. It repeats the search, because a process may start another one before it is killed.
    """
    count = 0
    _stop_all(account)
    for _ in range(5):
        candidates = [*known, *marked_processes(session_id), *processes_of(account)]
        alive = {process.pid: process for process in candidates if _lives(process)}
        if not alive:
            break
        count += len(alive)
        for process in alive.values():
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(list(alive.values()), timeout=0.4)
    _reap_orphans()
    return count


def _stop_all(account: AgentAccount) -> None:
    """Suspend all processes before killing any: a fork bomb would refill each freed process slot."""
    stopped: set[int] = set()
    for _ in range(20):
        running = [process for process in processes_of(account) if process.pid not in stopped and _lives(process)]
        if not running:
            return
        for process in running:
            stopped.add(process.pid)
            with contextlib.suppress(psutil.Error):
                process.suspend()


def descendants(pid: int) -> list[psutil.Process]:
    """Return the current descendants of a process, or an empty list when the process is gone."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _has_marker(process: psutil.Process, session_id: str) -> bool:
    try:
        return process.environ().get(SESSION_MARKER) == session_id
    except (psutil.Error, OSError):
        return False


def _runs_as(process: psutil.Process, uid: int | None) -> bool:
    try:
        return process.uids().real == uid
    except psutil.Error:
        return False


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _reap_orphans() -> None:
    """Reap dead children that this process only inherited.

    They have another session id (setsid) than this process. asyncio did not start them and waits for its own by pid.
    """
    ours = os.getsid(0)
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error, OSError):
            inherited = child.pid not in started_here and os.getsid(child.pid) != ours
            if inherited and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)


started_here: set[int] = set()
"""Pids of the agents that asyncio started and waits for."""

helpers: set[int] = set()
"""Pids of the executor's own children that run under the agents' account and belong to no agent."""

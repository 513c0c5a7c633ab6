"""Ends what an agent left behind. What carries the session's marker in its environment is the agent's, whoever its
parent is now; as a child subreaper the executor also inherits, and so can bury, what lost its parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable
from uuid import UUID

import psutil

from executor.process.account import AgentAccount
from executor.process.children import SESSION_MARKER

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def become_subreaper() -> None:
    """Have orphans of our agents become our children (Linux; elsewhere nothing)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Runs in the new child before its program: the kernel kills it when the thread that started it ends (Linux)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def marked_processes(session_id: UUID) -> list[psutil.Process]:
    """All processes that carry the session's marker, but ourselves."""
    return [one for one in psutil.process_iter() if one.pid != os.getpid() and _carries(one, str(session_id))]


def processes_of(account: AgentAccount) -> list[psutil.Process]:
    """All processes of an account that is the agents' alone, but helpers of ours; none of our own account."""
    if not account.is_another:
        return []
    return [one for one in psutil.process_iter() if one.pid not in helpers and _runs_as(one, account.uid)]


def kill_leftovers(session_id: UUID, account: AgentAccount, known: Iterable[psutil.Process] = ()) -> int:
    """Kill every process of the session's agent, `known` ones too; answers how many there were. Quick, blocking (at
    most 2 s). Repeated, because a process may start another between the look and the blow."""
    count = 0
    _stop_all(account)
    for _ in range(5):
        found_now = [*known, *marked_processes(session_id), *processes_of(account)]
        found = {one.pid: one for one in found_now if _lives(one)}
        if not found:
            break
        count += len(found)
        for one in found.values():
            with contextlib.suppress(psutil.Error):
                one.kill()
        psutil.wait_procs(list(found.values()), timeout=0.4)
    _bury_orphans()
    return count


def _stop_all(account: AgentAccount) -> None:
    """Before the first is killed, all are stopped: a fork bomb would fill each place that becomes free."""
    stopped: set[int] = set()
    for _ in range(20):
        found = [one for one in processes_of(account) if one.pid not in stopped and _lives(one)]
        if not found:
            return
        for one in found:
            stopped.add(one.pid)
            with contextlib.suppress(psutil.Error):
                one.suspend()


def descendants(pid: int) -> list[psutil.Process]:
    """The processes below this one, now; none when it is gone."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _carries(process: psutil.Process, session_id: str) -> bool:
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


def _bury_orphans() -> None:
    """Reap dead children that we only inherited: they are of another session (setsid) than we, and asyncio, which
    waits for its own by pid, did not start them."""
    ours = os.getsid(0)
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error, OSError):
            inherited = child.pid not in started_here and os.getsid(child.pid) != ours
            if inherited and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)


started_here: set[int] = set()
"""Pids of the agents that asyncio started and waits for."""

helpers: set[int] = set()
"""Pids of our own children that run under the agents' account and are not an agent's."""

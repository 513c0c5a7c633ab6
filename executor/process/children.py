"""The executor's own children: none may outlive it, and none of an earlier life may go on beside a new one."""

from __future__ import annotations

import os
from uuid import UUID

import structlog

from executor.process.account import AgentAccount

SESSION_MARKER = "RUNYARD_SESSION_ID"
"""The variable in the environment of all that an agent starts."""

_log = structlog.stdlib.get_logger(__name__)


def has_children() -> bool:
    """One system call: as a subreaper the executor inherits whatever its agents leave behind."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def kill_leftovers(session_id: UUID, account: AgentAccount) -> None:
    """Kill every process that carries the session's marker, or is of the account of agents. Blocks, for at most two
    seconds."""
    from executor.process import leftovers  # brings psutil, which a quick start does without

    count = leftovers.kill_leftovers(session_id, account)
    if count:
        _log.warning("leftovers.killed", count=count)

"""Track the executor's child processes: none outlives it, and none from an earlier executor survives into a new one."""

from __future__ import annotations

import os
from uuid import UUID

import structlog

from executor.process.account import AgentAccount

_log = structlog.stdlib.get_logger(__name__)


def has_children() -> bool:
    """Tell whether the executor has child processes. As a subreaper it inherits every process that its agents leave
    behind."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def kill_leftovers(session_id: UUID, account: AgentAccount) -> None:
    """Kill every process that carries the session's marker or runs under the agents' account. Blocks for at most 2
    s."""
    from executor.process import leftovers  # imports psutil late: a quick start does not need it

    count = leftovers.kill_leftovers(session_id, account)
    if count:
        _log.warning("leftovers.killed", count=count)

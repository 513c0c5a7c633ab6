"""Hold the account that agents run under. The executor touches the agent's files only as this account.

In a container the executor is uid 0 without the capabilities that bypass file permissions. So code that acts as the
agent's account opens only files that the agent may open. A link that an agent plants leads no further than the agent's
own access.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypedDict

SESSION_MARKER = "RUNYARD_SESSION_ID"
"""The environment variable that marks every process of an agent."""

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ChildAccount(TypedDict, total=False):
    """Name the keyword arguments that subprocess takes for another account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class AgentAccount:
    """Name an account by uid and gid. Without a uid it is the executor's own account, and nothing changes."""

    uid: int | None = None
    gid: int | None = None

    @property
    def is_another(self) -> bool:
        return self.uid is not None

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Open and create files as this account until the block ends, in this thread only. Do not await inside the
        block.

        It uses the kernel's setfsuid: unlike setuid, this lets no process of the account signal or trace the executor.
        """
        if self.uid is None:
            yield
            return
        _set_file_ids(self.uid, self.gid or self.uid)
        try:
            yield
        finally:
            _set_file_ids(os.geteuid(), os.getegid())

    def of_children(self) -> ChildAccount:
        """Return subprocess arguments that start a child under this account."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid or self.uid, "extra_groups": []}


EXECUTOR_ACCOUNT = AgentAccount()


def leave_groups(account: AgentAccount) -> None:
    """Drop the executor's supplementary groups, so that code acting as the account gains no access through them."""
    if account.is_another:
        os.setgroups([])


def _set_file_ids(uid: int, gid: int) -> None:
    """Set the thread's file uid and gid. Raises PermissionError when the kernel ignored the call.

    The system calls report no failure; a second call returns the ids in force.
    """
    assert _libc is not None
    _libc.setfsgid(gid)
    _libc.setfsuid(uid)
    if _libc.setfsgid(-1) != gid or _libc.setfsuid(-1) != uid:
        raise PermissionError(f"The kernel refused file access as uid {uid}, gid {gid}.")

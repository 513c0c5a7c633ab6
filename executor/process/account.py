"""The account that agents run under, and that everything of ours acts as which touches their files.

In a container the executor is uid 0 with no power over files: what the agent's account may not open, neither may
anything done in its name. So a link that an agent has planted leads to nothing that it could not reach by itself.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypedDict

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ChildAccount(TypedDict, total=False):
    """What subprocess is told."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class AgentAccount:
    """Without a uid it is the executor's own, and nothing changes."""

    uid: int | None = None
    gid: int | None = None

    @property
    def is_another(self) -> bool:
        return self.uid is not None

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Until its end, files are opened and made by this thread, and no other, as that account. Nothing may be
        awaited in it. The kernel's setfsuid: unlike setuid it gives the account no way to signal or trace us."""
        if self.uid is None:
            yield
            return
        _set_file_ids(self.uid, self.gid or self.uid)
        try:
            yield
        finally:
            _set_file_ids(os.geteuid(), os.getegid())

    def of_children(self) -> ChildAccount:
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid or self.uid, "extra_groups": []}


OURS = AgentAccount()


def leave_groups(account: AgentAccount) -> None:
    """Belong to no further group: what is open to one of them would be open to those who act for the account."""
    if account.is_another:
        os.setgroups([])


def _set_file_ids(uid: int, gid: int) -> None:
    """The calls have no way to fail but by doing nothing; asked again, they say what is in force."""
    assert _libc is not None
    _libc.setfsgid(gid)
    _libc.setfsuid(uid)
    if _libc.setfsgid(-1) != gid or _libc.setfsuid(-1) != uid:
        raise PermissionError(f"Files cannot be used as uid {uid}, gid {gid}.")

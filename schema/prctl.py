"""Process control of Linux (prctl), for the parts of Runyard that start programs: the executor and the command line."""

from __future__ import annotations

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def forbid_reading() -> None:
    """Let no other process of this account read this one's memory, environment or open files. Does nothing outside
    Linux."""
    if _libc is not None:
        _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def become_subreaper() -> None:
    """Adopt orphaned descendants as children, so that this process can end them. Does nothing outside Linux."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(sig: signal.Signals = signal.SIGKILL) -> None:
    """Call it in a new child, before its program: the kernel signals it when the thread that started it ends. Does
    nothing outside Linux."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)

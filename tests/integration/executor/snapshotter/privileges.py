"""What a container's agent does not have, and root does: a way past the modes of files and folders."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION = 0x20080522
_PAST_MODES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def bound_by_modes() -> Iterator[None]:
    """This thread, and those that it starts, are refused what the modes refuse to the owner."""
    header, sets = _Header(_VERSION, 0), (_Sets * 2)()
    if _libc.capget(ctypes.byref(header), sets) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    before = sets[0].effective
    _set(header, sets, before & ~_PAST_MODES)
    try:
        yield
    finally:
        _set(header, sets, before)


def _set(header: _Header, sets: ctypes.Array[_Sets], effective: int) -> None:
    sets[0].effective = effective
    if _libc.capset(ctypes.byref(header), sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")

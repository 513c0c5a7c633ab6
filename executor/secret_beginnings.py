"""Tell quickly that bytes hold no secret value: that not even the beginning of one is in them.

Hyperscan reads ten times as many bytes a second as RE2. Where it cannot work, every text may hold a secret.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import hyperscan

BEGINNING_BYTES = 8


class SecretBeginnings:
    """Search for the first bytes of values. Threads may share it, one at a time."""

    def __init__(self, values: Iterable[bytes]) -> None:
        self._database = _database(sorted({value[:BEGINNING_BYTES] for value in values}))
        self._one_at_a_time = threading.Lock()

    def may_be_in(self, data: bytes) -> bool:
        """Tell whether the bytes hold the beginning of a value."""
        if self._database is None:
            return True
        try:
            with self._one_at_a_time:
                self._database.scan(data, match_event_handler=_stop)
        except hyperscan.error:  # it was stopped at a match, or it failed
            return True
        return False


def _database(beginnings: Sequence[bytes]) -> hyperscan.Database | None:
    """Return what Hyperscan searches with, None where this processor lacks what it needs."""
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    try:
        database.compile(
            expressions=[_pattern(beginning) for beginning in beginnings],
            ids=list(range(len(beginnings))),
            elements=len(beginnings),
            flags=[hyperscan.HS_FLAG_SINGLEMATCH] * len(beginnings),
        )
    except hyperscan.error:
        return None
    return database


def _pattern(beginning: bytes) -> bytes:
    """Return an expression for these bytes. Hyperscan's literals are no choice, because they end at a zero byte."""
    return b"".join(b"\\x%02x" % byte for byte in beginning)


def _stop(*_: object) -> bool:
    return True

"""Know whether a host can start session workers now, without asking it for each claim."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

FRESH_SECONDS = 2.0


class HostCondition:
    """Ask a host at most every FRESH_SECONDS, however many jobs want to know."""

    def __init__(self, look: Callable[[], str | None]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._fault: str | None = None
        self._looked_at: float | None = None

    def fault(self) -> str | None:
        """Return why no session worker can be started, as a sentence; None when one can."""
        with self._lock:
            if self._looked_at is None or time.monotonic() - self._looked_at > FRESH_SECONDS:
                self._fault, self._looked_at = self._look(), time.monotonic()
            return self._fault

    def look_again(self) -> None:
        """Forget the last answer: the host has just failed."""
        with self._lock:
            self._looked_at = None

"""Know whether a part that runs need works now, without asking it for each run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

FRESH_SECONDS = 2.0


class PartCondition:
    """Ask a host or an object store at most every FRESH_SECONDS, however many jobs want to know."""

    def __init__(self, look: Callable[[], str | None]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._fault: str | None = None
        self._looked_at: float | None = None

    def fault(self) -> str | None:
        """Return what is wrong with the part, as a sentence; None when it works."""
        with self._lock:
            if self._looked_at is None or time.monotonic() - self._looked_at > FRESH_SECONDS:
                self._fault, self._looked_at = self._look(), time.monotonic()
            return self._fault

    @property
    def last_fault(self) -> str | None:
        """Return the last look's finding; None before the first. It waits for nothing."""
        return self._fault

    def look_again(self) -> None:
        """Forget the last answer: the part has just failed."""
        with self._lock:
            self._looked_at = None

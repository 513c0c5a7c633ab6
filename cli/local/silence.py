"""Tell a frozen program by its alive file, which it touches while it works.

Silence is counted in the supervisor's own turns: a freeze that stops the supervisor too (a paused container or virtual
machine) is no silence of the program.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SILENT_SECONDS = 20.0
LONGEST_TURN_SECONDS = 2.0
"""How much one turn of the supervisor counts at most, twice what it takes."""
FIRST_BEAT_SECONDS = 40.0
"""How much longer a program that starts again has for its first touch."""


@dataclass
class ProgramSilence:
    """How long a program's `file` has stayed untouched, as `seconds`. Without a file a program is never silent.

    `touched` is the file's last change as seen, `looked_at` the time of the last look (monotonic seconds).
    """

    file: Path | None
    touched: float | None = None
    seconds: float = 0.0
    looked_at: float | None = None

    def is_too_long(self, now: float) -> bool:
        """Look at the file once in each turn. Return whether it has stayed untouched for SILENT_SECONDS."""
        touched = self._touched_at()
        if touched != self.touched:
            self.touched, self.seconds = touched, 0.0
        elif self.looked_at is not None:
            self.seconds += min(now - self.looked_at, LONGEST_TURN_SECONDS)
        self.looked_at = now
        return touched is not None and self.seconds > SILENT_SECONDS

    def begin_again(self, now: float) -> None:
        """Give a program that was started again FIRST_BEAT_SECONDS more, whatever its file says of the earlier one."""
        self.touched, self.seconds, self.looked_at = self._touched_at(), -FIRST_BEAT_SECONDS, now

    def _touched_at(self) -> float | None:
        try:
            return self.file.stat().st_mtime if self.file else None
        except OSError:
            return None

"""Wait for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.02


def wait_until(
    is_met: Callable[[], object], describe: Callable[[], object], *, seconds: float = PATIENCE_SECONDS
) -> None:
    """AssertionError with the description when it does not hold in time."""
    deadline = time.monotonic() + seconds
    while not is_met():
        assert time.monotonic() < deadline, describe()
        time.sleep(LOOK_SECONDS)

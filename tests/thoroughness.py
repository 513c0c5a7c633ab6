"""How much chance a test takes: little and always the same by default, much and ever other with RUNYARD_TEST_FULL=1.

RUNYARD_TEST_SEED repeats a full run; its seed is printed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded

FULL = os.environ.get("RUNYARD_TEST_FULL") == "1"
SEED = int(os.environ.get("RUNYARD_TEST_SEED") or random.SystemRandom().randrange(2**32))
T = TypeVar("T", bound=Callable[..., Any])


def times(default: int, full: int) -> int:
    """How often something is to be tried."""
    return full if FULL else default


def chances(default: int, full: int, *, steps: int = 50) -> settings:
    """Hypothesis' settings for so many examples. By default they are the same on every machine and in every run."""
    return settings(
        max_examples=times(default, full),
        stateful_step_count=steps,
        derandomize=not FULL,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        # what fails is made smaller only where there is time for it
        phases=list(Phase) if FULL else [Phase.explicit, Phase.generate],
        report_multiple_bugs=False,
    )


def by_chance(test: T) -> T:
    """In a full run, hypothesis begins at a seed that is printed."""
    if not FULL:
        return test
    print(f"RUNYARD_TEST_SEED={SEED} repeats this")
    return seeded(SEED)(test)


# Examples have no time limit: a machine may be busy.
settings.register_profile("on any machine", deadline=None)
settings.load_profile("on any machine")

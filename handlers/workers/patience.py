"""Look ever more rarely at workers that are kept although a step seems due, such as one whose run waits for a person.

A closer look costs a call to the executor and several statements. A worker whose row or executor changes is looked at
again at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from handlers.workers.retirement import WorkerOutline

QUICK_LOOKS = 4
FIRST_PAUSE_SECONDS = 20.0
LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True)
class Seen:
    """The state of a worker when it was kept, how often it was kept so, and when to look again (monotonic)."""

    likeness: tuple[object, ...]
    times: int
    look_at: float


class Patience:
    """Remember the workers of a host that were kept. For one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[UUID, Seen] = {}

    def is_due(self, worker: WorkerOutline, *, is_running: bool) -> bool:
        seen = self._seen.get(worker.session_id)
        return seen is None or seen.likeness != _likeness(worker, is_running) or self._clock() >= seen.look_at

    def kept(self, worker: WorkerOutline, *, is_running: bool) -> None:
        """Record that a closer look changed nothing."""
        likeness, before = _likeness(worker, is_running), self._seen.get(worker.session_id)
        times = before.times + 1 if before is not None and before.likeness == likeness else 1
        late = times - QUICK_LOOKS
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(late, 10), LONGEST_PAUSE_SECONDS) if late >= 0 else 0.0
        self._seen[worker.session_id] = Seen(likeness, times, self._clock() + pause)

    def forget(self, but: Collection[UUID]) -> None:
        """Forget all workers but these."""
        self._seen = {session_id: seen for session_id, seen in self._seen.items() if session_id in but}


def _likeness(worker: WorkerOutline, is_running: bool) -> tuple[object, ...]:  # noqa: FBT001
    return (worker.status, worker.status_since, worker.dirty_since, worker.idle_since, worker.limits, is_running)

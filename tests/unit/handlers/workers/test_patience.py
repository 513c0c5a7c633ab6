"""A worker that is kept again and again is looked at ever more rarely, and at once when it changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from handlers.workers.patience import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, QUICK_LOOKS, Patience
from handlers.workers.retirement import WorkerOutline

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WORKER = WorkerOutline(UUID(int=1), "active", NOON, None, NOON, {}, NOON)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def looks_within(patience: Patience, clock: Clock, *, seconds: int) -> int:
    looks = 0
    for _ in range(0, seconds, 10):  # the reconciler's period
        clock.now += 10
        if patience.is_due(WORKER, is_running=True):
            patience.kept(WORKER, is_running=True)
            looks += 1
    return looks


def test_a_kept_worker_costs_a_look_a_minute_in_the_long_run() -> None:
    clock = Clock()
    patience = Patience(clock)
    assert looks_within(patience, clock, seconds=10 * QUICK_LOOKS) == QUICK_LOOKS
    looks_within(patience, clock, seconds=int(FIRST_PAUSE_SECONDS + 2 * LONGEST_PAUSE_SECONDS))
    assert looks_within(patience, clock, seconds=600) == 10


def test_a_worker_that_changes_is_looked_at_at_once() -> None:
    clock = Clock()
    patience = Patience(clock)
    looks_within(patience, clock, seconds=300)
    assert not patience.is_due(WORKER, is_running=True)
    assert patience.is_due(WORKER, is_running=False)
    assert patience.is_due(replace(WORKER, dirty_since=NOON), is_running=True)


def test_a_worker_that_is_not_due_any_more_is_forgotten() -> None:
    clock = Clock()
    patience = Patience(clock)
    looks_within(patience, clock, seconds=300)
    patience.forget(but=())
    assert patience.is_due(WORKER, is_running=True)

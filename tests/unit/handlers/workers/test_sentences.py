"""Why a sweep keeps, stops or removes a worker: each decision's sentence says what is so, with the time that counts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from handlers.workers import lifecycle
from handlers.workers.lifecycle import Facts, LifeLimits, Unsaved, WatchedWorker
from tests.unit.handlers.workers.test_lifecycle import AT, DOWN, GONE, LIMITS, NOW, RUN, UNSAVED, UP, decided, worker

DELIVERS = Facts(executor="alive", has_volume=True, spooled=3)
EXITS = Facts(executor="alive", has_volume=True, agents=1)
NEVER = LifeLimits(idle_stop=None, remove_after=None)
A_YEAR = LifeLimits(idle_stop=31_536_000, remove_after=31_536_000)


@dataclass(frozen=True)
class Case:
    """A worker after so many seconds without a run, and the whole sentence about it."""

    code: str
    reason: str
    worker: WatchedWorker = field(default_factory=worker)
    facts: Facts = UP
    unsaved: Unsaved | None = None
    after: float = 0.5
    limits: LifeLimits = LIMITS


CASES = [
    Case("idle", "The worker is idle; it is stopped after 900 s without a run."),
    Case("idle", "The worker is idle; it is stopped after 900 s without a run.", unsaved=UNSAVED, after=899),
    Case("idle", "The worker is idle; it is stopped after 31536000 s without a run.", limits=A_YEAR),
    Case("idle", "The worker is idle; this deployment never stops idle workers.", after=1e9, limits=NEVER),
    Case(
        "idle_for_long", "The worker was idle for longer than its limit of 900 s; all data is saved.", after=901
    ),
    Case("idle_for_long", "user:7 asked for it; all data is saved.", limits=NOW),
    Case("saves_before_stop", "Runyard syncs the worker before stopping it. It holds changes.", unsaved=UNSAVED,
         after=901),
    Case("sync_failed", "The worker's sync failed 2 times: No store.", unsaved=UNSAVED, limits=NOW,
         worker=worker(sync_failures=2, sync_error="No store.", next_sync_at=AT + timedelta(hours=1))),
    Case("starts_to_save", "Runyard restarts the worker to sync it. It holds changes.", worker=worker("stopping"),
         unsaved=UNSAVED),
    Case("delivers", "The executor has 3 undelivered events.", facts=DELIVERS, limits=NOW),
    Case("agent_exits", "The agent is still exiting.", facts=EXITS, limits=NOW),
    Case("ready_again", "The executor answers, and its volume is restored.", worker=worker("lost")),
    Case("in_use", f"Run {RUN} uses the worker or is next.", worker=worker(needed_by=RUN), after=1e9),
    Case("run_will_start_it", f"Run {RUN} will start the worker.", worker=worker("starting", needed_by=RUN)),
    Case("stopped", "The worker is stopped and saved; it is removed 3600 s after its stop.",
         worker=worker("stopped"), facts=DOWN),
    Case("stopped", "The worker is stopped and saved; it is removed 31536000 s after its stop.",
         worker=worker("stopped"), facts=DOWN, limits=A_YEAR),
    Case("stopped", "The worker is stopped and saved; this deployment never removes stopped workers.",
         worker=worker("stopped"), facts=DOWN, after=1e9, limits=NEVER),
    Case("stopped_for_long", "The worker was stopped for longer than its limit of 3600 s; all data is saved.",
         worker=worker("stopped"), facts=DOWN, after=3601),
    Case("stopped_for_long", "user:7 asked for it; all data is saved.", worker=worker("stopped"), facts=DOWN,
         limits=NOW),
    Case("starts_to_save", "Runyard starts the worker to sync it. It holds changes.", worker=worker("stopped"),
         facts=DOWN, unsaved=UNSAVED),
    Case("not_needed", "An executor is running without need.", worker=worker("stopped")),
    Case("ended_and_needed", f"The executor has ended, and run {RUN} needs it.", worker=worker(needed_by=RUN),
         facts=DOWN),
    Case("ended", "The executor has ended; all data is saved.", facts=DOWN),
    Case("not_started", "The worker did not start: no disk", worker=worker("lost", last_error="no disk"), facts=DOWN,
         unsaved=UNSAVED),
    Case("none", "The session has no worker; the next prompt creates one.", worker=worker("absent"), facts=GONE),
    Case("volume_gone", "The worker's volume is gone.", facts=GONE),
    Case("removal_goes_on", "An earlier removal did not finish; remnants may exist.", worker=worker("removing"),
         facts=GONE),
    Case("external", "Runyard does not manage this external executor.", worker=worker(host="external"), limits=NOW),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason[:60])
def test_a_sweep_says_what_is_so(case: Case) -> None:
    decision = decided(case.worker, case.facts, case.unsaved, after=case.after, limits=case.limits)
    assert (decision.code, decision.reason) == (case.code, case.reason)


def test_every_code_has_its_sentence_here() -> None:
    written = set(re.findall(r'code="(\w+)"', Path(lifecycle.__file__).read_text()))
    assert written == {case.code for case in CASES}


@pytest.mark.parametrize("after", [0.5, 60.0, 899.0])
def test_what_is_within_its_limit_is_never_said_to_be_over_it(after: float) -> None:
    for found, facts in ((worker(), UP), (worker("stopped"), DOWN)):
        reason = decided(found, facts, after=after).reason
        assert "longer" not in reason
        assert "too long" not in reason

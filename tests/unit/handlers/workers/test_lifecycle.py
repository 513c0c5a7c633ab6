"""The decision about a worker's life: by example, and by every way in which its world may change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from handlers.workers.lifecycle import (
    Facts,
    LifecycleDecision,
    LifeLimits,
    Unsaved,
    WatchedWorker,
    assumed_facts,
    at_once,
    decide,
    limits_of,
)
from schema.rows import WorkerStatus

AT = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = LifeLimits(idle_stop=900, remove_after=3600)
NOW = at_once("user:7")
UP = Facts(executor="alive", has_volume=True)
DOWN = Facts(executor="dead", has_volume=True)
GONE = Facts(executor="absent", has_volume=False)
UNSAVED = Unsaved("It holds changes.")
RUN = UUID(int=7)


def worker(status: WorkerStatus = "active", **changes: object) -> WatchedWorker:
    known: dict[str, object] = {
        "session_id": UUID(int=1),
        "status": status,
        "status_since": AT,
        "epoch": 1,
        "host": "process",
        "base_url": None,
        "last_error": None,
        "dirty_since": None,
        "synced_at": None,
        "sync_failures": 0,
        "next_sync_at": None,
        "head_snapshot": None,
        "sync_error": None,
        "idle_since": AT,
        "restored_at": AT,
        "limits": {},
        "at": AT,
        "needed_by": None,
        "last_used_at": AT,
    }
    return WatchedWorker(**{**known, **changes})  # type: ignore[arg-type]


def decided(
    found: WatchedWorker, facts: Facts, unsaved: Unsaved | None = None, *, after: float = 0, limits: LifeLimits = LIMITS
) -> LifecycleDecision:
    return decide(found, facts, unsaved, now=AT + timedelta(seconds=after), limits=limits)


def test_an_idle_worker_waits_for_its_limit_and_says_until_when() -> None:
    kept = decided(worker(), UP)
    assert (kept.action, kept.not_before) == ("keep", AT + timedelta(seconds=900))
    assert decided(worker(), UP, after=900).action == "stop"
    assert decided(worker(), UP, UNSAVED, after=900).action == "save"


def test_limits_of_none_are_never() -> None:
    never = LifeLimits(idle_stop=None, remove_after=None)
    assert decided(worker(), UP, after=1e9, limits=never).action == "keep"
    assert decided(worker("stopped"), DOWN, after=1e9, limits=never).action == "keep"


def test_a_run_keeps_its_worker_whatever_else() -> None:
    assert decided(worker(needed_by=RUN), UP, after=1e6, limits=NOW).action == "keep"
    assert decided(worker("stopping", needed_by=RUN), UP, limits=NOW).action == "keep"
    assert decided(worker(needed_by=RUN), DOWN).action == "start"


def test_the_reason_says_who_did_not_want_to_wait() -> None:
    assert decided(worker(), UP, limits=NOW).reason == "user:7 asked for it; all data is saved."
    assert decided(worker("stopped"), DOWN, limits=NOW).reason == "user:7 asked for it; all data is saved."
    assert decided(worker(), UP, after=1e6).reason.startswith("The worker was idle for longer than its limit")


def test_undelivered_events_and_a_living_agent_keep_it() -> None:
    assert decided(worker(), Facts(executor="alive", has_volume=True, spooled=3), limits=NOW).action == "keep"
    assert decided(worker(), Facts(executor="alive", has_volume=True, agents=1), limits=NOW).action == "keep"


def test_a_failed_save_waits_out_its_pause_and_is_told() -> None:
    until = AT + timedelta(seconds=2000)
    failing = worker(sync_failures=2, sync_error="No store.", next_sync_at=until)
    kept = decided(failing, UP, UNSAVED, after=1000)
    assert (kept.action, kept.not_before) == ("keep", until)
    assert "No store." in kept.reason
    assert decided(failing, UP, UNSAVED, after=2000).action == "save"


def test_a_stopped_worker_that_holds_changes_is_started_never_removed() -> None:
    assert decided(worker("stopped"), DOWN, UNSAVED, after=1e9).action == "start"
    assert decided(worker("stopped"), DOWN, after=3600).action == "remove"


@pytest.mark.parametrize("status", ["starting", "active", "stopping", "stopped", "lost"])
def test_a_place_that_is_gone_is_noted(status: WorkerStatus) -> None:
    assert decided(worker(status), GONE).action == "note_absent"


def test_a_removal_that_was_begun_is_carried_on_where_the_place_is_gone_already() -> None:
    assert decided(worker("removing"), GONE).action == "remove"
    assert decided(worker("removing"), GONE, UNSAVED).action == "note_absent"


def test_a_place_that_turns_up_again_with_changes_is_saved_from() -> None:
    assert decided(worker("absent"), DOWN, UNSAVED).action == "start"


def test_what_cannot_be_started_is_tried_again_after_a_pause() -> None:
    lost = worker("lost", last_error="no disk")
    assert decided(lost, DOWN, UNSAVED, after=5).action == "keep"
    assert decided(lost, DOWN, UNSAVED, after=30).action == "start"


def test_a_foreign_executor_is_left_alone() -> None:
    assert decided(worker(host="external"), UP, limits=NOW).action == "keep"


def test_an_apps_own_limits_come_first() -> None:
    assert limits_of({"idleStopSeconds": 5}, LIMITS) == LifeLimits(idle_stop=5, remove_after=3600)


def test_why_assumes_that_all_is_as_the_row_has_it() -> None:
    assert assumed_facts(worker("active")).executor == "alive"
    assert assumed_facts(worker("stopped")).executor == "dead"
    assert not assumed_facts(worker("absent")).has_volume


class Life(RuleBasedStateMachine):
    """A worker in a world that does what it likes. `state` is what the place holds, `saved` what the store has of it:
    work makes the first greater, a save makes them equal."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.status: WorkerStatus = "absent"
        self.since = self.used = 0.0
        self.is_up = self.has_volume = self.runs = False
        self.state = self.saved = 0
        self.store_is_up = True
        self.failures = 0
        self.next_sync = 0.0

    # What the world does

    @rule(seconds=st.sampled_from([1.0, 100.0, 1000.0, 5000.0]))
    def time_passes(self, seconds: float) -> None:
        self.seconds += seconds

    @precondition(lambda self: not self.runs)
    @rule()
    def a_prompt_comes(self) -> None:
        self._activate()
        self.runs = True
        self.state += 1

    @precondition(lambda self: self.runs)
    @rule()
    def the_run_ends(self) -> None:
        self.runs = False
        self.used = self.seconds

    @precondition(lambda self: not self.runs)
    @rule()
    def a_whole_turn(self) -> None:
        self.a_prompt_comes()
        self.the_run_ends()

    @rule(is_up=st.sampled_from([True, True, False]))
    def the_store_changes(self, is_up: bool) -> None:  # noqa: FBT001  drawn
        self.store_is_up = is_up

    @rule()
    def the_executor_dies(self) -> None:
        self.is_up = False

    @precondition(lambda self: self.has_volume)
    @rule()
    def the_place_is_lost(self) -> None:
        """Nobody of us did it."""
        self.has_volume = self.is_up = self.runs = False
        self.state = self.saved

    @precondition(lambda self: self.has_volume and self.saved > 0)
    @rule()
    def the_store_loses_the_newest_snapshot(self) -> None:
        """The place may then hold what nothing else does, whatever its state."""
        self.saved -= 1

    @precondition(lambda self: self.status in ("active", "stopped"))
    @rule(status=st.sampled_from(["starting", "stopping", "removing", "lost"]))
    def a_job_worker_dies_on_it(self, status: WorkerStatus) -> None:
        self._becomes(status)

    @rule(limits=st.sampled_from([LIMITS, NOW]), times=st.integers(1, 3))
    def somebody_looks(self, limits: LifeLimits, times: int) -> None:
        for _ in range(times):
            self._carry_out(self._decision(limits))

    @rule()
    def it_is_saved_and_stopped(self) -> None:
        """What passes lead to when nothing comes between them."""
        stop_only = LifeLimits(idle_stop=0, remove_after=None)
        for _ in range(3):
            self._carry_out(self._decision(stop_only))

    # What we do

    def _decision(self, limits: LifeLimits) -> LifecycleDecision:
        row = worker(
            self.status,
            status_since=self._at(self.since),
            last_used_at=self._at(self.used),
            needed_by=RUN if self.runs else None,
            sync_failures=self.failures,
            next_sync_at=self._at(self.next_sync),
        )
        executor = "absent" if not self.has_volume else "alive" if self.is_up else "dead"
        facts = Facts(executor=executor, has_volume=self.has_volume)  # type: ignore[arg-type]
        # as handlers.workspaces.sync has it: a worker that is absent holds nothing
        unsaved = UNSAVED if self.state > self.saved and self.status != "absent" else None
        return decide(row, facts, unsaved, now=self._at(self.seconds), limits=limits)

    def _carry_out(self, decision: LifecycleDecision) -> None:
        match decision.action:
            case "start":
                self._activate()
            case "save":
                self._save()
            case "stop":
                assert not self.runs
                assert self.state == self.saved, "stopped with changes"
                self.is_up = False
                self._becomes("stopped")
            case "remove":
                assert not self.runs
                assert self.state == self.saved, "removed with changes"
                self.is_up = self.has_volume = False
                self._becomes("absent")
            case "note_stopped":
                assert self.state == self.saved
                self._becomes("stopped")
            case "note_absent":
                assert not self.has_volume
                self._becomes("absent")

    def _activate(self) -> None:
        if not self.has_volume:
            self.state = self.saved
        self.has_volume = self.is_up = True
        self.used = self.seconds
        self._becomes("active")

    def _save(self) -> None:
        assert self.is_up, "saved from nothing"
        if self.store_is_up:
            self.saved, self.failures = self.state, 0
        else:
            self.failures += 1
            self.next_sync = self.seconds + 60

    def _becomes(self, status: WorkerStatus) -> None:
        self.status, self.since = status, self.seconds

    def _at(self, seconds: float) -> datetime:
        return AT + timedelta(seconds=seconds)

    @invariant()
    def it_comes_to_rest(self) -> None:
        """With a store that works and nobody who needs it, passes lead to a removed worker with nothing unsaved."""
        twin = Life()
        twin.__dict__.update({key: value for key, value in self.__dict__.items() if not key.startswith("_")})
        twin.runs, twin.store_is_up = False, True
        for _ in range(20):
            twin.seconds += 5000
            twin._carry_out(twin._decision(LIMITS))
        assert twin.status == "absent"
        assert twin.state == twin.saved


TestLife = Life.TestCase

"""Decide about a session's worker: the same pure decision for idle stop, removal, reconciling and the operator's "why".

jobs/workers/activate.py and jobs/workers/retirement.py carry decisions out under the worker's lock. No decision stops
or removes a worker with unsaved changes: such a worker is started, synced or kept, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from schema.rows import WorkerRow
from schema.wire import Json
from schema.worker_api import NextStep
from schema.worker_limits import read_limits

LifecycleAction = Literal["keep", "start", "save", "stop", "remove", "note_stopped", "note_absent"]
EXTERNAL = "external"
"""The host whose executors somebody else runs; Runyard decides nothing about them."""
START_AGAIN_SECONDS = 30.0


@dataclass(frozen=True)
class WatchedWorker(WorkerRow):
    """A worker's row with fields of its session, all read at `at`. `needed_by`: the run that works in it or comes next;
    `limits` are its app's (schema/worker_limits.py)."""

    limits: Json
    at: datetime
    needed_by: UUID | None
    last_used_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The host's answer: the executor as in HostFacts, and whether the volume of the row's epoch exists. `spooled`
    events wait in the executor for delivery; `agents` run in it."""

    executor: Literal["absent", "dead", "silent", "alive"]
    has_volume: bool
    spooled: int = 0
    agents: int = 0


@dataclass(frozen=True)
class Unsaved:
    """Why the gate is shut, as a sentence: the worker has unsaved changes."""

    message: str


@dataclass(frozen=True, kw_only=True)
class LifeLimits:
    """In seconds; None disables a limit. `idle_stop`: sync and stop a worker after this long without a run.
    `remove_after`: remove a worker this long after its stop. `asked_by`: the user who skips the limits."""

    idle_stop: float | None
    remove_after: float | None
    asked_by: str | None = None

    def over(self, what: Literal["idle", "stopped"]) -> str:
        """Return why a limit is over, as half a sentence."""
        if self.asked_by:
            return f"{self.asked_by} asked for it"
        seconds = self.idle_stop if what == "idle" else self.remove_after
        return f"The worker was {what} for longer than its limit of {seconds or 0:.15g} s"


@dataclass(frozen=True)
class LifecycleDecision:
    """An action on a worker and its reason, as a sentence that `code` names. `not_before`: when time alone may change
    the decision. `then`: the action that is due at that time."""

    action: LifecycleAction
    reason: str
    not_before: datetime | None = None
    then: NextStep | None = field(default=None, kw_only=True)
    code: str = field(kw_only=True)


def at_once(asked_by: str) -> LifeLimits:
    """Return limits that are over at once."""
    return LifeLimits(idle_stop=0, remove_after=0, asked_by=asked_by)


def limits_of(app: Json, default: LifeLimits) -> LifeLimits:
    """Return an app's own limits (schema/worker_limits.py), or else the deployment's."""
    own = read_limits(app)
    return LifeLimits(
        idle_stop=default.idle_stop if own.idle_stop_seconds is None else own.idle_stop_seconds,
        remove_after=default.remove_after if own.remove_after_seconds is None else own.remove_after_seconds,
    )


def assumed_facts(row: WorkerRow) -> Facts:
    """Return the host's presumable answer, going by the row, for callers that can reach no host."""
    is_up = row.status in ("active", "stopping")
    has_volume = row.status != "absent"
    return Facts(executor="alive" if is_up else "dead" if has_volume else "absent", has_volume=has_volume)


def decide(
    worker: WatchedWorker, facts: Facts, unsaved: Unsaved | None, *, now: datetime, limits: LifeLimits
) -> LifecycleDecision:
    """Decide about a worker. Pure. `now` is database time."""
    if worker.host == EXTERNAL:
        return LifecycleDecision("keep", "Runyard does not manage this external executor.", code="external")
    if not facts.has_volume:
        return _without_volume(worker, unsaved)
    if worker.status in ("absent", "removing"):
        return _on_its_way_out(worker, unsaved)
    if worker.status == "stopped":
        return _stopped(worker, facts, unsaved, now=now, limits=limits)
    if facts.executor in ("absent", "dead"):
        return _without_executor(worker, unsaved, now=now)
    return _with_executor(worker, facts, unsaved, now=now, limits=limits)


def _without_volume(worker: WatchedWorker, unsaved: Unsaved | None) -> LifecycleDecision:
    if worker.status == "absent":
        return LifecycleDecision("keep", "The session has no worker; the next prompt creates one.", code="none")
    if worker.status == "removing" and unsaved is None and worker.needed_by is None:
        return LifecycleDecision(
            "remove", "An earlier removal did not finish; remnants may exist.", code="removal_goes_on"
        )
    return LifecycleDecision("note_absent", "The worker's volume is gone.", code="volume_gone")


def _on_its_way_out(worker: WatchedWorker, unsaved: Unsaved | None) -> LifecycleDecision:
    """Decide about a removed worker whose volume still exists, or exists again."""
    if unsaved is not None:
        return LifecycleDecision("start", f"The worker's volume still exists. {unsaved.message}", code="starts_to_save")
    if worker.needed_by is not None:
        return LifecycleDecision("keep", f"Run {worker.needed_by} will start the worker.", code="run_will_start_it")
    return LifecycleDecision("remove", "An earlier removal did not finish; all data is saved.", code="removal_goes_on")


def _stopped(
    worker: WatchedWorker, facts: Facts, unsaved: Unsaved | None, *, now: datetime, limits: LifeLimits
) -> LifecycleDecision:
    if worker.needed_by is not None:
        return LifecycleDecision("keep", f"Run {worker.needed_by} will start the worker.", code="run_will_start_it")
    if unsaved is not None:
        return _start_again(
            worker, f"Runyard starts the worker to sync it. {unsaved.message}", now=now, code="starts_to_save"
        )
    if facts.executor in ("silent", "alive"):
        return LifecycleDecision("stop", "An executor is running without need.", code="not_needed")
    if limits.remove_after is None:
        return LifecycleDecision(
            "keep", "The worker is stopped and saved; this deployment never removes stopped workers.", code="stopped"
        )
    until = worker.status_since + timedelta(seconds=limits.remove_after)
    if until > now:
        waits = f"The worker is stopped and saved; it is removed {limits.remove_after:.15g} s after its stop."
        return LifecycleDecision("keep", waits, until, then="remove", code="stopped")
    return LifecycleDecision("remove", f"{limits.over('stopped')}; all data is saved.", code="stopped_for_long")


def _without_executor(worker: WatchedWorker, unsaved: Unsaved | None, *, now: datetime) -> LifecycleDecision:
    """Decide about a worker that should run and does not, and whose volume exists."""
    if worker.needed_by is not None:
        return LifecycleDecision(
            "start", f"The executor has ended, and run {worker.needed_by} needs it.", code="ended_and_needed"
        )
    if unsaved is not None:
        return _start_again(worker, f"The executor has ended. {unsaved.message}", now=now, code="starts_to_save")
    return LifecycleDecision("note_stopped", "The executor has ended; all data is saved.", code="ended")


def _with_executor(
    worker: WatchedWorker, facts: Facts, unsaved: Unsaved | None, *, now: datetime, limits: LifeLimits
) -> LifecycleDecision:
    if worker.needed_by is not None:
        return _needed(worker)
    if facts.spooled:
        return LifecycleDecision("keep", f"The executor has {facts.spooled} undelivered events.", code="delivers")
    if facts.agents:
        return LifecycleDecision("keep", "The agent is still exiting.", code="agent_exits")
    if worker.status in ("starting", "lost") and facts.executor == "alive" and worker.restored_at is not None:
        return _start_again(worker, "The executor answers, and its volume is restored.", now=now, code="ready_again")
    if worker.status != "stopping":
        idle = _still_idle(worker, now=now, limits=limits)
        if idle is not None:
            return idle
    if unsaved is None:
        return LifecycleDecision("stop", f"{limits.over('idle')}; all data is saved.", code="idle_for_long")
    if worker.status == "active" and facts.executor == "alive":
        return _when_due(
            worker,
            LifecycleDecision(
                "save", f"Runyard syncs the worker before stopping it. {unsaved.message}", code="saves_before_stop"
            ),
            now=now,
        )
    return _start_again(
        worker, f"Runyard restarts the worker to sync it. {unsaved.message}", now=now, code="starts_to_save"
    )


def _needed(worker: WatchedWorker) -> LifecycleDecision:
    if worker.status == "active":
        return LifecycleDecision("keep", f"Run {worker.needed_by} uses the worker or is next.", code="in_use")
    return LifecycleDecision("keep", f"Run {worker.needed_by} will start the worker.", code="run_will_start_it")


def _still_idle(worker: WatchedWorker, *, now: datetime, limits: LifeLimits) -> LifecycleDecision | None:
    """Return the decision to wait; None when the worker has been idle for long enough."""
    if limits.idle_stop is None:
        return LifecycleDecision("keep", "The worker is idle; this deployment never stops idle workers.", code="idle")
    until = (worker.last_used_at or worker.status_since) + timedelta(seconds=limits.idle_stop)
    waits = f"The worker is idle; it is stopped after {limits.idle_stop:.15g} s without a run."
    return LifecycleDecision("keep", waits, until, then="stop", code="idle") if until > now else None


def _start_again(worker: WatchedWorker, reason: str, *, now: datetime, code: str) -> LifecycleDecision:
    """Start the worker at once; after a failed start, wait a pause."""
    until = worker.status_since + timedelta(seconds=START_AGAIN_SECONDS)
    if worker.status == "lost" and worker.last_error and until > now:
        reason = f"The worker did not start: {worker.last_error}"
        return LifecycleDecision("keep", reason, until, then="start", code="not_started")
    return LifecycleDecision("start", reason, code=code)


def _when_due(worker: WatchedWorker, decision: LifecycleDecision, *, now: datetime) -> LifecycleDecision:
    """Wait for the pause after a failed sync."""
    if worker.sync_failures and worker.next_sync_at is not None and worker.next_sync_at > now:
        return LifecycleDecision(
            "keep",
            f"The worker's sync failed {worker.sync_failures} times: {worker.sync_error}",
            worker.next_sync_at,
            then="save",
            code="sync_failed",
        )
    return decision

"""The context of every job: settings, database, host, executor client and object store."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from functools import cached_property

from handlers.runs.limits import NeededPart, RunLimits
from handlers.runs.reconcile import ReconcileLimits
from handlers.runs.settle import RetryPolicy
from handlers.workers.lifecycle import LifeLimits
from handlers.workers.patience import Patience
from jobs.hosts import Host
from jobs.object_store.contract import ObjectStorage
from jobs.runtime.claim_renewal import Claims
from jobs.runtime.condition import PartCondition
from jobs.runtime.database import JobDatabase
from jobs.runtime.executor_client import ExecutorClient
from jobs.runtime.settings import JobSettings
from jobs.runtime.sync_lease_renewal import SyncLeases
from jobs.runtime.trace import Trace
from schema.rows import RunRow


@dataclass(frozen=True)
class TaskContext:
    """The context of a process. The entry point makes it, procrastinate hands it to the tasks.

    `closing` is set when the process ends. Without a `store` no workspace is synced and no worker stopped or removed.
    """

    settings: JobSettings
    database: JobDatabase
    executors: ExecutorClient
    host: Host
    claims: Claims
    sync_leases: SyncLeases
    store: ObjectStorage | None = None
    closing: threading.Event = field(default_factory=threading.Event)
    patience: Patience = field(default_factory=Patience, repr=False)
    life: str = field(default_factory=lambda: secrets.token_hex(4))

    @cached_property
    def host_condition(self) -> PartCondition:
        """The condition of the host, which all jobs share."""
        return PartCondition(self.host.fault)

    @cached_property
    def store_condition(self) -> PartCondition:
        """The condition of the object store, which all jobs share. It works where none is configured."""
        return PartCondition(lambda: self.store.fault() if self.store else None)

    @property
    def claimer(self) -> str:
        """The name under which this process claims runs. A restarted job worker keeps its owner, not its claims."""
        return f"{self.settings.owner}/{self.life}"

    @property
    def parts_away(self) -> list[NeededPart]:
        """The parts that do not work, and for which runs may wait. The store is not asked: it may be silent."""
        faults: dict[NeededPart, str | None] = {
            "host": self.host_condition.fault(),
            "store": self.store_condition.last_fault,
        }
        return [part for part, fault in faults.items() if fault is not None]

    @property
    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy(delay_seconds=self.settings.retry_delay_seconds)

    @property
    def run_limits(self) -> RunLimits:
        settings = self.settings
        return RunLimits(
            system=settings.run_limit, per_app=settings.run_limit_per_app, per_user=settings.run_limit_per_user
        )

    @property
    def limits(self) -> ReconcileLimits:
        return ReconcileLimits(lease_seconds=self.settings.run_lease_seconds)

    @property
    def life_limits(self) -> LifeLimits:
        """The life limits of workers whose app sets none."""
        return LifeLimits(
            idle_stop=self.settings.worker_idle_stop_seconds or None,
            remove_after=self.settings.worker_remove_after_seconds or None,
        )


def trace_of(run: RunRow) -> Trace:
    return Trace(session_id=run.session_id, epoch=run.epoch or 1, run_id=run.id, traceparent=run.traceparent)

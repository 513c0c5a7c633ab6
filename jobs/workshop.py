"""What every job has at hand: the settings, the database, the host, the client of executors."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field

from handlers.life_cycle import LifeLimits
from handlers.reconcile import ReconcileLimits
from handlers.run_limits import RunLimits
from handlers.settle_run import RetryPolicy
from jobs.claims import Claims
from jobs.database import Database
from jobs.executor_client import ExecutorClient
from jobs.hosts import Host
from jobs.objects import Objects
from jobs.settings import Settings
from jobs.trace import Trace
from jobs.turns import Turns
from schema.rows import RunRow


@dataclass(frozen=True)
class Workshop:
    """One per process; made at the entry point, handed to the tasks by procrastinate. `closing` is set when it ends.

    Without a `store` nothing is saved, and so no worker is stopped or removed."""

    settings: Settings
    database: Database
    executors: ExecutorClient
    host: Host
    claims: Claims
    turns: Turns
    store: Objects | None = None
    closing: threading.Event = field(default_factory=threading.Event)
    life: str = field(default_factory=lambda: secrets.token_hex(4))

    @property
    def claimer(self) -> str:
        """Who claims runs here. A worker that is started again may have the same owner, but not the same claims."""
        return f"{self.settings.owner}/{self.life}"

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
        """Of workers whose app has none of its own."""
        return LifeLimits(
            idle_stop=self.settings.worker_idle_stop_seconds or None,
            remove_after=self.settings.worker_remove_after_seconds or None,
        )


def trace_of(run: RunRow) -> Trace:
    return Trace(session_id=run.session_id, epoch=run.epoch or 1, run_id=run.id, traceparent=run.traceparent)

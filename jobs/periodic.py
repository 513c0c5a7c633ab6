"""Periodic tasks of the job worker, which run every few seconds beside its jobs, each in its own thread."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import psycopg
import structlog

from handlers.alarms import Limits, alarms
from handlers.runs.reconcile import ReconcileLimits, orphaned_runs, part_seen
from handlers.workers.rows import announce_presence
from handlers.workspaces.sync import SyncLease, orphaned_sync_leases
from jobs.runtime.database import CONNECT, JobDatabase
from schema.database_faults import cause_of, is_outage
from schema.rows import RunRow
from schema.sql import Conn

JOIN_SECONDS = 5.0
SEEN_SECONDS = 5.0
SETTLED_SECONDS = 1.0
OUTAGE_SECONDS = 60.0

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class PeriodicTask:
    """A periodic task: `run_once` runs again `every_seconds` after its end."""

    name: str
    run_once: Callable[[], None]
    every_seconds: float


class OutageLog:
    """Log an outage of PostgreSQL once, with its cause, however many tasks it stops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}

    def tell(self, error: Exception) -> None:
        """Log the cause, unless it was logged within the last OUTAGE_SECONDS."""
        cause, now = cause_of(error), time.monotonic()
        with self._lock:
            is_new = now - self._told.get(cause, -math.inf) > OUTAGE_SECONDS
            if is_new:
                self._told[cause] = now
        if is_new:
            _log.warning("database.unavailable", why=cause)


outages = OutageLog()


class Presence:
    """Announces this job worker by a lock and a row, and reports peers whose lock is gone.

    The lock ends with its connection at once. A claimer of runs or sync leases counts as dead when its lock is missing
    in two checks in a row, over a connection at least SETTLED_SECONDS old. After an outage of PostgreSQL all locks are
    missing for a moment, and no claimer counts as dead.
    """

    def __init__(
        self,
        dsn: str,
        *,
        claimer: str,
        limits: ReconcileLimits,
        reclaim: Callable[[list[RunRow]], None],
        expire_leases: Callable[[list[SyncLease]], None],
    ) -> None:
        self._dsn = dsn
        self._claimer = claimer
        self._limits = limits
        self._reclaim = reclaim
        self._expire_leases = expire_leases
        self._conn: Conn | None = None
        self._is_announced = False
        self._connected_at = self._seen_at = -math.inf
        self._missed: set[tuple[UUID, int]] = set()
        self._missed_leases: set[SyncLease] = set()

    def run_once(self) -> None:
        try:
            self._look()
        except psycopg.errors.ReadOnlySqlTransaction:
            self.end()  # the next connection finds a writable server
            raise

    def end(self) -> None:
        if self._conn is not None:
            self._conn.close()

    def _look(self) -> None:
        conn, now = self._connected(), time.monotonic()
        if now - self._seen_at >= SEEN_SECONDS:
            part_seen(conn, "worker", self._limits)
            self._seen_at = now
        orphans = orphaned_runs(conn)
        missing = {(run.id, run.claim) for run in orphans}
        confirmed = [run for run in orphans if (run.id, run.claim) in self._missed]
        self._missed = missing
        leases = orphaned_sync_leases(conn)
        confirmed_leases = [lease for lease in leases if lease in self._missed_leases]
        self._missed_leases = set(leases)
        if now - self._connected_at < SETTLED_SECONDS:
            return
        if confirmed:
            self._reclaim(confirmed)
        if confirmed_leases:
            self._expire_leases(confirmed_leases)

    def _connected(self) -> Conn:
        """Return the announced connection.

        PostgreSQL may not have noticed the loss of the last connection, which then still holds the lock. Announce again
        at each call until the lock is free.
        """
        if self._conn is None or self._conn.closed:
            self._missed, self._missed_leases = set(), set()
            self._conn = psycopg.connect(self._dsn, **CONNECT)
            self._connected_at = time.monotonic()
            self._is_announced = announce_presence(self._conn, self._claimer)
            if not self._is_announced:
                _log.warning("presence.taken", claimer=self._claimer)
        elif not self._is_announced:
            self._is_announced = announce_presence(self._conn, self._claimer)
        return self._conn


def raise_alarms(database: JobDatabase) -> None:
    """Log each alarm, and repeat it while it lasts.

    The query for the notification queue's usage also makes PostgreSQL clean the queue. A full queue is cleaned by no
    other action, even after the blocking listener is gone.
    """
    for alarm in database.transact(alarms, Limits()):
        _log.error(f"alarm.{alarm.code}", why=alarm.message)


@contextmanager
def running_periodically(tasks: Sequence[PeriodicTask], *, closing: threading.Event) -> Iterator[None]:
    """Run all periodic tasks until `closing` is set."""
    threads = [
        threading.Thread(target=_run_periodically, args=(task, closing), name=task.name, daemon=True) for task in tasks
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        closing.set()
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _run_periodically(task: PeriodicTask, closing: threading.Event) -> None:
    has_succeeded = True
    while not closing.is_set():
        try:
            task.run_once()
            has_succeeded = True
        except Exception as error:  # noqa: BLE001 - the outermost loop of a periodic task: it continues after any error
            if is_outage(error):
                outages.tell(error)
            elif has_succeeded or not isinstance(error, psycopg.Error):
                _log.exception("periodic_task.failed", task=task.name)
            has_succeeded = has_succeeded and is_outage(error)
        closing.wait(task.every_seconds)

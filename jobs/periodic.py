"""Duties: what the job worker does every few seconds beside its jobs, each in a thread of its own."""

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
from schema.rows import RunRow
from schema.sql import Conn

JOIN_SECONDS = 5.0
SEEN_SECONDS = 5.0
SETTLED_SECONDS = 1.0

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Duty:
    """`run_once` is called again `every_seconds` after it has ended."""

    name: str
    run_once: Callable[[], None]
    every_seconds: float


class Presence:
    """That this job worker lives and is well: a lock that goes with its connection at once, and a row for its peers.

    And whether theirs are held: a claimer of runs or of turns whose lock is gone is reported when it is missed at two
    looks in a row, over a connection that has itself held for SETTLED_SECONDS. After an outage of PostgreSQL all locks
    are gone for a moment; nobody is taken for dead then.
    """

    def __init__(
        self,
        dsn: str,
        *,
        claimer: str,
        limits: ReconcileLimits,
        reclaim: Callable[[list[RunRow]], None],
        give_back: Callable[[list[SyncLease]], None],
    ) -> None:
        self._dsn = dsn
        self._claimer = claimer
        self._limits = limits
        self._reclaim = reclaim
        self._give_back = give_back
        self._conn: Conn | None = None
        self._is_announced = False
        self._connected_at = self._seen_at = -math.inf
        self._missed: set[tuple[UUID, int]] = set()
        self._missed_turns: set[SyncLease] = set()

    def run_once(self) -> None:
        conn, now = self._connected(), time.monotonic()
        if now - self._seen_at >= SEEN_SECONDS:
            part_seen(conn, "worker", self._limits)
            self._seen_at = now
        orphans = orphaned_runs(conn)
        missed = {(run.id, run.claim) for run in orphans}
        certain = [run for run in orphans if (run.id, run.claim) in self._missed]
        self._missed = missed
        turns = orphaned_sync_leases(conn)
        certain_turns = [turn for turn in turns if turn in self._missed_turns]
        self._missed_turns = set(turns)
        if now - self._connected_at < SETTLED_SECONDS:
            return
        if certain:
            self._reclaim(certain)
        if certain_turns:
            self._give_back(certain_turns)

    def end(self) -> None:
        if self._conn is not None:
            self._conn.close()

    def _connected(self) -> Conn:
        """Announced, unless PostgreSQL has not yet noticed that the connection before this one is gone: it holds the
        lock until then, and from then on this one must."""
        if self._conn is None or self._conn.closed:
            self._missed, self._missed_turns = set(), set()
            self._conn = psycopg.connect(self._dsn, **CONNECT)
            self._connected_at = time.monotonic()
            self._is_announced = announce_presence(self._conn, self._claimer)
            if not self._is_announced:
                _log.warning("presence.taken", claimer=self._claimer)
        elif not self._is_announced:
            self._is_announced = announce_presence(self._conn, self._claimer)
        return self._conn


def raise_alarms(database: JobDatabase) -> None:
    """Each is a line of the log, again and again for as long as it lasts.

    Asking how full the queue of notifications is also has PostgreSQL clear it: once it is full nothing else does, not
    even when the listener that held it up is gone.
    """
    for alarm in database.transact(alarms, Limits()):
        _log.error(f"alarm.{alarm.code}", why=alarm.message)


@contextmanager
def doing(duties: Sequence[Duty], *, closing: threading.Event) -> Iterator[None]:
    """All duties, until `closing` is set."""
    threads = [threading.Thread(target=_do, args=(duty, closing), name=duty.name, daemon=True) for duty in duties]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        closing.set()
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _do(duty: Duty, closing: threading.Event) -> None:
    is_well = True
    while not closing.is_set():
        try:
            duty.run_once()
            is_well = True
        except Exception as error:  # noqa: BLE001 - the outermost loop of a duty: it goes on when what it needs is back
            if is_well or not isinstance(error, psycopg.Error):
                _log.exception("duty.failed", duty=duty.name)
            is_well = False
        closing.wait(duty.every_seconds)

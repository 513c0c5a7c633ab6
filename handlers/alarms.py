"""Find problems that hurt the database slowly, before anything fails; callers report the alarms."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from schema.sql import Conn, fetch_all, fetch_one, fetch_the, fetch_value

ADVICE = "Bring them back from a backup of the bucket; the table object_reads names them all, and each is read hourly."


@dataclass(frozen=True)
class Limits:
    """`queue_usage` from 0 to 1; `idle_seconds`: how long a transaction may stay open and idle; `sync_failures`: how
    many syncs of a session may fail in a row."""

    queue_usage: float = 0.25
    idle_seconds: float = 300.0
    sync_failures: int = 3


@dataclass(frozen=True)
class Alarm:
    """`code` is stable; `message` says what to do."""

    code: str
    message: str


@dataclass(frozen=True)
class FaultyObjects:
    """The known objects with a fault, of `sessions` sessions. `first_key` is None without any."""

    objects: int
    sessions: int
    first_key: str | None

    @property
    def sentence(self) -> str:
        return (
            f"{self.objects} stored objects of {self.sessions} sessions are missing, altered or unreadable, so "
            f"snapshots that need them cannot be restored in full: {self.first_key}."
        )


@dataclass(frozen=True)
class _Idle:
    pid: int
    application: str
    seconds: float


@dataclass(frozen=True)
class _FailingSync:
    session_id: UUID
    failures: int
    error: str
    all_of_them: int


def alarms(conn: Conn, limits: Limits) -> list[Alarm]:
    """Return the alarms to raise now; an empty list when all is well."""
    return [
        *_notification_queue(conn, limits),
        *_idle_transactions(conn, limits),
        *_failing_syncs(conn, limits),
        *_faulty_objects(conn),
    ]


def _notification_queue(conn: Conn, limits: Limits) -> list[Alarm]:
    usage: float = fetch_value(conn, "notification_queue_usage")
    if usage <= limits.queue_usage:
        return []
    message = (
        f"The database's queue of notifications is {usage:.0%} full: a session that listens stays in a transaction. "
        "End the session: a full queue blocks new runs."
    )
    return [Alarm("notification_queue", message)]


def _idle_transactions(conn: Conn, limits: Limits) -> list[Alarm]:
    idle = fetch_all(conn, "idle_transactions", _Idle, older_than_seconds=limits.idle_seconds)
    return [Alarm("idle_transaction", _sentence(transaction)) for transaction in idle]


def _failing_syncs(conn: Conn, limits: Limits) -> list[Alarm]:
    worst = fetch_one(conn, "failing_syncs", _FailingSync, failures=limits.sync_failures)
    if worst is None:
        return []
    message = (
        f"Syncs of {worst.all_of_them} sessions fail, so their workers stay. The last "
        f"{worst.failures} syncs of {worst.session_id} failed: {worst.error}"
    )
    return [Alarm("sync_failing", message)]


def _faulty_objects(conn: Conn) -> list[Alarm]:
    faulty = faulty_objects(conn)
    if faulty is None:
        return []
    return [Alarm("objects_faulty", f"{faulty.sentence} {ADVICE}")]


def faulty_objects(conn: Conn) -> FaultyObjects | None:
    """Return the known faults; None when there are none."""
    faulty = fetch_the(conn, "faulty_objects", FaultyObjects)
    return faulty if faulty.objects else None


def _sentence(idle: _Idle) -> str:
    who = f"process {idle.pid}" + (f", {idle.application}" if idle.application else "")
    return (
        f"A session of the database ({who}) has been idle in a transaction for {idle.seconds:.0f} s; dead rows pile up "
        f"behind it. End it with: SELECT pg_terminate_backend({idle.pid})"
    )

"""The job worker's database access: run each verb in its own transaction, and notify readers after the commit."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
import structlog
from psycopg_pool import ConnectionPool, PoolTimeout

from handlers.event_log import record_changes
from jobs.runtime.notify import Notify
from schema.database_faults import CausedConnection, dropping_if_read_only
from schema.database_poolers import pooler_fault
from schema.migrate import encoding_fault, newer_sentence
from schema.settings import BadSetting
from schema.sql import Conn

_log = structlog.stdlib.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

Away = (psycopg.OperationalError, PoolTimeout, psycopg.errors.ReadOnlySqlTransaction)
"""The errors of an unreachable PostgreSQL, or of a connection that it has just ended."""

CONNECT: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": 5,
    # the client notices a silent loss of the server within about ten seconds
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Keywords of the job worker's connections. With autocommit, code opens transactions explicitly."""

STATEMENT_SECONDS = 30
CHECKOUT_SECONDS = 5.0
RECONNECT_SECONDS = 5.0
LIFETIME_SECONDS = 900.0
MOST_ALONE = 64
"""The most dedicated connections: each activation, stop and removal holds one while it runs."""


@dataclass(frozen=True)
class JobDatabase:
    """The database of a process. `dedicated_pool` holds the connections that one caller uses exclusively."""

    pool: ConnectionPool[Conn]
    dedicated_pool: ConnectionPool[Conn]
    notify: Notify

    def transact(self, verb: Callable[Concatenate[Conn, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the verb in a transaction, commit, and return its result. The verb must be quick."""
        with record_changes() as heads:
            with self.pool.connection() as conn, dropping_if_read_only(conn), conn.transaction():
                outcome = verb(conn, *args, **kwargs)
            self.notify.send(heads)
        return outcome

    def call(self, verb: Callable[Concatenate[Conn, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a verb with a single statement that appends no event. This saves two round trips."""
        with self.pool.connection() as conn, dropping_if_read_only(conn):
            return verb(conn, *args, **kwargs)

    @contextmanager
    def dedicated(self, *, wait_seconds: float = CHECKOUT_SECONDS) -> Iterator[Conn]:
        """Lend a dedicated connection outside any transaction. Its advisory locks end with the block.

        Raise PoolTimeout when no connection is free within `wait_seconds`.
        """
        with self.dedicated_pool.connection(timeout=wait_seconds) as conn:
            try:
                yield conn
            finally:
                with suppress(psycopg.OperationalError):  # a lost connection has lost its locks too
                    conn.execute("SELECT pg_advisory_unlock_all()")


def refuse_unfit_database(dsn: str, pooler: str) -> None:
    """Raise BadSetting for a pooler in the way, or a database that cannot hold all texts. Log that a newer release has
    migrated it."""
    with psycopg.connect(dsn, **CONNECT) as conn:
        pooled, fault, newer = pooler_fault(conn, pooler), encoding_fault(conn), newer_sentence(conn)
    if pooled is not None:
        raise BadSetting(pooled)
    if fault is not None:
        raise BadSetting(f"DATABASE_URL: {fault}")
    if newer is not None:
        _log.error("database.newer", why=newer)


@contextmanager
def open_database(dsn: str, *, connections: int) -> Iterator[JobDatabase]:
    """Open the pools in the background: PostgreSQL may start later.

    A short reconnect timeout keeps the pauses short, so that the pools reconnect within seconds of its return.
    """
    pool = _pool(dsn, "verbs", size=connections, configure=_configure)
    dedicated_pool = _pool(dsn, "dedicated", size=MOST_ALONE)
    notify = Notify(partial(psycopg.connect, dsn, **CONNECT, options="-c synchronous_commit=off"))
    try:
        pool.open()
        dedicated_pool.open()
        yield JobDatabase(pool, dedicated_pool, notify)
    finally:
        dedicated_pool.close()
        pool.close()
        notify.close()


def _pool(
    dsn: str,
    name: str,
    *,
    size: int,
    configure: Callable[[Conn], None] | None = None,
) -> ConnectionPool[Conn]:
    return ConnectionPool(
        dsn,
        min_size=1,
        max_size=size,
        timeout=CHECKOUT_SECONDS,
        reconnect_timeout=RECONNECT_SECONDS,
        max_lifetime=LIFETIME_SECONDS,
        check=_refuse_ended,
        connection_class=CausedConnection,
        configure=configure,
        kwargs=CONNECT,
        open=False,
        name=name,
    )


def _refuse_ended(conn: Conn) -> None:
    """Refuse a connection with unread data: the server sends data unasked only when it ends a connection.

    This check needs no round trip.
    """
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    if poll.poll(0):
        conn.close()  # otherwise the pool would reuse it
        raise psycopg.OperationalError("the server has ended the connection")


def _configure(conn: Conn) -> None:
    conn.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")

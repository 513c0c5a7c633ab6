"""The worker's own way to PostgreSQL: each verb in a transaction of its own, and readers are told after its commit."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from handlers.event_log import record_appends
from jobs.runtime.notify import Notify
from schema.sql import Conn

P = ParamSpec("P")
T = TypeVar("T")

Away = (psycopg.OperationalError, PoolTimeout)
"""PostgreSQL cannot be reached, or has just ended the connection."""

CONNECT: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": 5,
    # a server that is gone without a word is noticed within about ten seconds
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Keywords of the worker's connections. Autocommit: transactions are opened explicitly."""

STATEMENT_SECONDS = 30
CHECKOUT_SECONDS = 5.0
RECONNECT_SECONDS = 5.0
MOST_ALONE = 64
"""Connections that somebody has alone: each activation, stop and removal under way holds one."""


@dataclass(frozen=True)
class JobDatabase:
    """One per process. `alone` are the connections that somebody must have alone."""

    pool: ConnectionPool[Conn]
    alone: ConnectionPool[Conn]
    hints: Notify

    def transact(self, verb: Callable[Concatenate[Conn, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the verb in a transaction; what it returns is committed. Nothing slow belongs in it."""
        with record_appends() as heads:
            with self.pool.connection() as conn, conn.transaction():
                outcome = verb(conn, *args, **kwargs)
            self.hints.send(heads)
        return outcome

    def call(self, verb: Callable[Concatenate[Conn, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a verb of one statement that appends nothing: it is a transaction by itself, two round trips less."""
        with self.pool.connection() as conn:
            return verb(conn, *args, **kwargs)

    @contextmanager
    def dedicated(self, *, wait_seconds: float = CHECKOUT_SECONDS) -> Iterator[Conn]:
        """A connection of its own, outside of any transaction: its advisory locks end with the block. Raises
        PoolTimeout when all are taken for so long."""
        with self.alone.connection(timeout=wait_seconds) as conn:
            try:
                yield conn
            finally:
                with suppress(psycopg.OperationalError):  # lost, and its locks with it
                    conn.execute("SELECT pg_advisory_unlock_all()")


@contextmanager
def open_database(dsn: str, *, connections: int) -> Iterator[JobDatabase]:
    """The pool opens in the background: PostgreSQL may come later. A short reconnect time-out keeps its pauses short,
    so that it is back within seconds of PostgreSQL's return."""
    pool = _pool(dsn, "verbs", size=connections, configure=_configure)
    alone = _pool(dsn, "alone", size=MOST_ALONE)
    hints = Notify(partial(psycopg.connect, dsn, **CONNECT, options="-c synchronous_commit=off"))
    try:
        pool.open()
        alone.open()
        yield JobDatabase(pool, alone, hints)
    finally:
        alone.close()
        pool.close()
        hints.close()


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
        check=_refuse_ended,
        configure=configure,
        kwargs=CONNECT,
        open=False,
        name=name,
    )


def _refuse_ended(conn: Conn) -> None:
    """A server that ends a connection says so, and says nothing else unasked: what can be read needs no round trip."""
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    if poll.poll(0):
        conn.close()  # or the pool would take it back as a well one
        raise psycopg.OperationalError("the server has ended the connection")


def _configure(conn: Conn) -> None:
    conn.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")

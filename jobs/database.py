"""The worker's own way to PostgreSQL: each verb in a transaction of its own, on a connection of a pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from schema.sql import Conn

P = ParamSpec("P")
T = TypeVar("T")

Away = (psycopg.OperationalError, PoolTimeout)
"""PostgreSQL cannot be reached, or has just ended the connection."""

CHECKOUT_SECONDS = 10.0
RECONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Database:
    """One per process. `dsn` is for the few connections that somebody must have alone."""

    dsn: str
    pool: ConnectionPool[Conn]

    def transact(self, verb: Callable[Concatenate[Conn, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the verb in a transaction; what it returns is committed. Nothing slow belongs in it."""
        with self.pool.connection() as conn, conn.transaction():
            return verb(conn, *args, **kwargs)

    @contextmanager
    def dedicated(self) -> Iterator[Conn]:
        """A connection of its own, outside of any transaction: locks of its session go with it."""
        with psycopg.connect(self.dsn, autocommit=True, connect_timeout=10) as conn:
            yield conn


@contextmanager
def open_database(dsn: str, *, connections: int) -> Iterator[Database]:
    """The pool opens in the background: PostgreSQL may come later. A short reconnect time-out keeps its pauses short,
    so that it is back within seconds of PostgreSQL's return."""
    with ConnectionPool(
        dsn,
        min_size=1,
        max_size=connections,
        timeout=CHECKOUT_SECONDS,
        reconnect_timeout=RECONNECT_SECONDS,
        kwargs={"autocommit": True},
        open=False,
        name="verbs",
    ) as pool:
        yield Database(dsn, pool)

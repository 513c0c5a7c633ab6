"""Connect the API to PostgreSQL: transactions wait a bounded time and reconnect by themselves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Literal, Protocol, TypeVar

import psycopg
from psycopg import IsolationLevel, OperationalError
from psycopg.errors import ReadOnlySqlTransaction
from psycopg_pool import ConnectionPool

from schema.database_faults import DISK_FULL, CausedConnection, dropping_if_read_only
from schema.sql import Conn

T = TypeVar("T")
STATEMENT_SECONDS = 15
LIFETIME_SECONDS = 900.0
FULL_SECONDS = 30.0
CONNECT: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": 5,
    # the kernel notices a vanished peer within about ten seconds
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Keywords of every connection of the API. Autocommit: transactions are opened explicitly."""


class FullDisk:
    """Remember for a while that a statement found the database's disk full.

    Reads and small changes go on meanwhile, so no question to the database tells it.
    """

    def __init__(self) -> None:
        self._seen_at = -math.inf

    def note(self, cause: str) -> None:
        """Take a cause of `cause_of`."""
        if cause == DISK_FULL:
            self._seen_at = time.monotonic()

    @property
    def is_known(self) -> bool:
        return time.monotonic() - self._seen_at < FULL_SECONDS


class Database(Protocol):
    """The source of transactions. Its methods raise OperationalError when the database cannot be reached."""

    def open(self) -> None: ...

    def close(self) -> None: ...

    def transaction(self, *, snapshot: bool = False) -> AbstractContextManager[Conn]:
        """Commit at the end, roll back on an error. With `snapshot` all statements see one state."""
        ...

    def call_alone(self, verb: Callable[[Conn], T]) -> T:
        """Call the verb without a transaction: each of its statements commits alone. A lost connection makes the
        database call the verb again, so the verb must be repeatable."""
        ...


class Pool:
    """A bounded pool, for processes with threads."""

    def __init__(
        self,
        dsn: str,
        *,
        size: int,
        name: str,
        wait_seconds: float,
        plans_once: bool = False,
        shares_sessions: bool = False,
    ) -> None:
        """`plans_once`: plan prepared statements once, for connections that repeat few statements very often.
        `shares_sessions`: a pooler lends a server connection for one transaction, so nothing may stay in its session.
        """
        self._size = size
        self._shares_sessions = shares_sessions
        self._pool = ConnectionPool(
            dsn,
            min_size=1,
            max_size=size,
            name=name,
            open=False,
            timeout=wait_seconds,
            # short, so that the first request after an outage meets a pool that reconnects at once
            reconnect_timeout=5,
            # a pool meets a new server of a cluster within this time, even when no connection is lost
            max_lifetime=LIFETIME_SECONDS,
            connection_class=CausedConnection,
            kwargs={**CONNECT, "prepare_threshold": None} if shares_sessions else CONNECT,
            configure=None if shares_sessions else _configure_to_plan_once if plans_once else _configure,
        )

    def open(self) -> None:
        self._pool.open()

    def close(self) -> None:
        self._pool.close()

    @contextmanager
    def transaction(self, *, snapshot: bool = False) -> Iterator[Conn]:
        with ExitStack() as stack:
            yield self._begun(stack, snapshot=snapshot)

    def _begun(self, stack: ExitStack, *, snapshot: bool) -> Conn:
        """Return a connection with an open transaction; skip connections that the server has closed."""
        for _ in range(self._size):
            try:
                return self._begin(stack, snapshot=snapshot)
            except BrokenAtBegin:
                continue
        return self._begin(stack, snapshot=snapshot)

    def _begin(self, stack: ExitStack, *, snapshot: bool) -> Conn:
        conn = self._pool.getconn()
        begun = ExitStack()
        begun.callback(self._pool.putconn, conn)
        begun.enter_context(dropping_if_read_only(conn))
        try:
            enter_transaction(begun, conn, snapshot=snapshot)
            self._limit_transaction(conn)
        except OperationalError as error:
            broken = conn.broken
            begun.close()
            if broken:
                raise BrokenAtBegin from error
            raise
        stack.push(begun)
        return conn

    def call_alone(self, verb: Callable[[Conn], T]) -> T:
        for _ in range(self._size + 1):  # every pooled connection may be lost; the next one is new
            conn = self._pool.getconn()
            try:
                with dropping_if_read_only(conn):
                    return self._call_in_transaction(verb, conn) if self._shares_sessions else verb(conn)
            except OperationalError:
                if not conn.broken:
                    raise
            finally:
                self._pool.putconn(conn)
        raise OperationalError("every pooled connection to the database was lost")

    def _call_in_transaction(self, verb: Callable[[Conn], T], conn: Conn) -> T:
        with conn.transaction():
            self._limit_transaction(conn)
            return verb(conn)

    def _limit_transaction(self, conn: Conn) -> None:
        if self._shares_sessions:
            conn.execute(_limits("SET LOCAL"))


class BrokenAtBegin(OperationalError):
    """The connection was lost before the transaction began, so no statement ran."""


class OneConnection:
    """A single connection, opened at first need. A function serves one request at a time behind a connection pooler."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._conn: Conn | None = None

    def open(self) -> None:
        """Do nothing: a function connects at its first request."""

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    @contextmanager
    def transaction(self, *, snapshot: bool = False) -> Iterator[Conn]:
        with ExitStack() as stack:
            try:
                conn = self._connected()
                enter_transaction(stack, conn, snapshot=snapshot)
            except OperationalError:  # the connection was idle for too long: connect again and retry
                self.close()
                conn = self._connected()
                enter_transaction(stack, conn, snapshot=snapshot)
            try:
                yield conn
            except ReadOnlySqlTransaction:
                stack.callback(self.close)
                raise

    def call_alone(self, verb: Callable[[Conn], T]) -> T:
        try:
            return verb(self._connected())
        except ReadOnlySqlTransaction:
            self.close()
            raise
        except OperationalError:  # the connection was idle for too long
            self.close()
            return verb(self._connected())

    def _connected(self) -> Conn:
        if self._conn is None or self._conn.closed:
            # prepared statements belong to a server connection, which a transaction pooler may give to other clients
            self._conn = psycopg.connect(self._dsn, prepare_threshold=None, **CONNECT)
        return self._conn


def enter_transaction(stack: ExitStack, conn: Conn, *, snapshot: bool) -> None:
    """Begin a transaction now; commit or roll back when the stack closes."""
    if snapshot:
        conn.isolation_level = IsolationLevel.REPEATABLE_READ
        stack.callback(_default_isolation, conn)
    stack.enter_context(conn.transaction())


def _default_isolation(conn: Conn) -> None:
    if not conn.closed:
        conn.isolation_level = None


def _configure(conn: Conn) -> None:
    conn.execute(_limits("SET"))


def _limits(command: Literal["SET", "SET LOCAL"]) -> str:
    return (
        f"{command} statement_timeout = '{STATEMENT_SECONDS}s'; "
        f"{command} idle_in_transaction_session_timeout = '{2 * STATEMENT_SECONDS}s'"
    )


def _configure_to_plan_once(conn: Conn) -> None:
    _configure(conn)
    conn.execute("SET plan_cache_mode = force_generic_plan")

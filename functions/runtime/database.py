"""Connections to PostgreSQL for the edge: transactions that wait a bounded time and recover by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import IsolationLevel, OperationalError
from psycopg_pool import ConnectionPool

from schema.sql import Conn

T = TypeVar("T")
STATEMENT_SECONDS = 15
CONNECT: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": 5,
    # a peer that is gone without a word is noticed within about ten seconds
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Keywords of every connection of the edge. Autocommit: transactions are opened explicitly."""


class Database(Protocol):
    """Where transactions come from. Both ways raise OperationalError when the database cannot be reached."""

    def open(self) -> None: ...

    def close(self) -> None: ...

    def transaction(self, *, snapshot: bool = False) -> AbstractContextManager[Conn]:
        """Commits at the end, rolls back on an error. `snapshot`: all statements see one state."""
        ...

    def call_alone(self, verb: Callable[[Conn], T]) -> T:
        """Outside of any transaction: each statement of the verb is one of its own. The verb is called again when its
        connection turns out to be lost, so it has to be one that may be repeated."""
        ...


class Pool:
    """A bounded pool, for processes with threads."""

    def __init__(self, dsn: str, *, size: int, name: str, wait_seconds: float, plans_once: bool = False) -> None:
        """`plans_once`: prepared statements are planned once, for connections that call few of them very often."""
        self._size = size
        self._pool = ConnectionPool(
            dsn,
            min_size=1,
            max_size=size,
            name=name,
            open=False,
            timeout=wait_seconds,
            # short, so that the first request after an outage finds a pool that tries again at once
            reconnect_timeout=5,
            kwargs=CONNECT,
            configure=_configure_to_plan_once if plans_once else _configure,
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
        """A connection with an open transaction; those that the server has closed meanwhile are passed over."""
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
        try:
            enter_transaction(begun, conn, snapshot=snapshot)
        except OperationalError as error:
            broken = conn.broken
            begun.close()
            if broken:
                raise BrokenAtBegin from error
            raise
        stack.push(begun)
        return conn

    def call_alone(self, verb: Callable[[Conn], T]) -> T:
        for _ in range(self._size + 1):  # all that the pool held may be lost; the one after them is new
            conn = self._pool.getconn()
            try:
                return verb(conn)
            except OperationalError:
                if not conn.broken:
                    raise
            finally:
                self._pool.putconn(conn)
        raise OperationalError("no connection to the database holds")


class BrokenAtBegin(OperationalError):
    """The connection had been lost before the transaction began, so nothing of it was done."""


class OneConnection:
    """One connection, opened at first need: for functions, which have one request at a time and a pooler in between."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._conn: Conn | None = None

    def open(self) -> None:
        """Nothing: a function connects when it is called."""

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
            except OperationalError:  # it had slept too long: once more, afresh
                self.close()
                conn = self._connected()
                enter_transaction(stack, conn, snapshot=snapshot)
            yield conn

    def call_alone(self, verb: Callable[[Conn], T]) -> T:
        try:
            return verb(self._connected())
        except OperationalError:  # as above
            self.close()
            return verb(self._connected())

    def _connected(self) -> Conn:
        if self._conn is None or self._conn.closed:
            # prepared statements belong to a server connection that a transaction pooler may give to others
            self._conn = psycopg.connect(self._dsn, prepare_threshold=None, **CONNECT)
        return self._conn


def enter_transaction(stack: ExitStack, conn: Conn, *, snapshot: bool) -> None:
    """BEGIN now, and COMMIT or ROLLBACK when the stack is left."""
    if snapshot:
        conn.isolation_level = IsolationLevel.REPEATABLE_READ
        stack.callback(_default_isolation, conn)
    stack.enter_context(conn.transaction())


def _default_isolation(conn: Conn) -> None:
    if not conn.closed:
        conn.isolation_level = None


def _configure(conn: Conn) -> None:
    conn.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
    conn.execute(f"SET idle_in_transaction_session_timeout = '{2 * STATEMENT_SECONDS}s'")


def _configure_to_plan_once(conn: Conn) -> None:
    _configure(conn)
    conn.execute("SET plan_cache_mode = force_generic_plan")

"""Tell an outage of the database from other errors, and name its cause without any address or password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors
from psycopg_pool import PoolTimeout

from schema.sql import Conn

AWAY = "The database does not answer."
READ_ONLY = "The database is read-only: a writable server is waited for."
DISK_FULL = "The database's disk is full."
BUSY = "The database takes no more connections (max_connections)."
_OF_OUTAGES = ("08", "53", "57P01", "57P02", "57P03", "25006")
"""The beginnings of an outage's SQLSTATE: lost connections, no resources, shutdown or start, a read-only server."""
BUSY_ERRORS = (errors.QueryCanceled, errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)
"""Errors of a statement that others were in the way of, or that took too long."""
_BY_CLASS: tuple[tuple[type[psycopg.Error], str], ...] = (
    (errors.DiskFull, DISK_FULL),
    (errors.TooManyConnections, BUSY),
    (errors.ReadOnlySqlTransaction, READ_ONLY),
    (errors.CannotConnectNow, "The database is starting up or shutting down."),
    (errors.AdminShutdown, "The database was shut down."),
    (errors.OutOfMemory, "The database has no memory left."),
    (errors.QueryCanceled, "The database took too long."),
    (errors.LockNotAvailable, "Other requests locked the rows for too long."),
    (errors.DeadlockDetected, "Two requests waited for each other's rows, and the database ended one of them."),
    (errors.SerializationFailure, "Another request changed the same rows at the same time."),
    (errors.InvalidAuthorizationSpecification, "The database refuses the login."),
    (errors.InvalidCatalogName, "The database named in DATABASE_URL does not exist."),
)
# What libpq says while it connects, where no SQLSTATE reaches the client.
_BY_TEXT: tuple[tuple[str, str], ...] = (
    (r"session is read-only|server is in hot standby mode|read-only transaction", READ_ONLY),
    (r"too many clients|connection slots|too many connections", BUSY),
    (r"starting up|shutting down|recovery mode", "The database is starting up or shutting down."),
    (r"Connection refused|No such file or directory", "The database refuses connections: nothing listens there."),
    (r"No space left on device", DISK_FULL),
    (r"authentication failed|no pg_hba.conf entry|role .* does not exist", "The database refuses the login."),
    (r"database .* does not exist", "The database named in DATABASE_URL does not exist."),
    (r"could not translate host name|Name or service not known", "The database's host name is unknown."),
    (r"timeout expired|timed out", "The database does not answer in time."),
)


class CausedConnection(psycopg.Connection[Any]):
    """A pool's connection. It keeps why the last attempt to connect failed, which the pool itself does not tell."""

    last_cause: str | None = None

    @classmethod
    def connect(cls, *args: Any, **kwargs: Any) -> CausedConnection:
        try:
            connection = super().connect(*args, **kwargs)
        except psycopg.OperationalError as error:
            CausedConnection.last_cause = cause_of(error)
            raise
        CausedConnection.last_cause = None
        return connection


def is_outage(error: Exception) -> bool:
    """Return whether the database is away, full, starting, ending or read-only; False for a statement's own error."""
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return True
    return isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08").startswith(_OF_OUTAGES)


def cause_of(error: Exception) -> str:
    """Return what is wrong with the database, as a sentence."""
    if isinstance(error, PoolTimeout):
        return CausedConnection.last_cause or "The database does not answer, or all connections to it are in use."
    for class_, sentence in _BY_CLASS:
        if isinstance(error, class_):
            return sentence
    if isinstance(error, psycopg.Error) and error.sqlstate and not is_outage(error):
        return f"The database refused a statement (SQLSTATE {error.sqlstate})."
    text = str(error)
    return next((sentence for pattern, sentence in _BY_TEXT if re.search(pattern, text)), AWAY)


@contextmanager
def dropping_if_read_only(conn: Conn) -> Iterator[None]:
    """Close the connection when its server has become read-only, so that the pool looks for a writable one."""
    try:
        yield
    except errors.ReadOnlySqlTransaction:
        conn.close()
        raise

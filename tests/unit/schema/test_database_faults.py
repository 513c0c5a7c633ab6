"""What an outage of PostgreSQL is called."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from psycopg_pool import PoolTimeout

from schema.database_faults import AWAY, BUSY, READ_ONLY, CausedConnection, cause_of, is_outage


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (errors.DiskFull("could not extend file"), "The database's disk is full."),
        (errors.TooManyConnections("sorry"), BUSY),
        (errors.ReadOnlySqlTransaction("cannot execute INSERT"), READ_ONLY),
        (errors.QueryCanceled("canceling statement"), "The database took too long."),
        (errors.LockNotAvailable("canceling statement"), "Other requests locked the rows for too long."),
        (
            errors.DeadlockDetected("deadlock detected"),
            "Two requests waited for each other's rows, and the database ended one of them.",
        ),
        (errors.IoError("could not read block 7 of /data"), "The database refused a statement (SQLSTATE 58030)."),
        (psycopg.OperationalError("connection failed: session is read-only"), READ_ONLY),
        (psycopg.OperationalError('password authentication failed for user "x"'), "The database refuses the login."),
        (psycopg.OperationalError("FATAL:  sorry, too many clients already"), BUSY),
        (psycopg.OperationalError("something else at host 10.0.0.1"), AWAY),
    ],
)  # fmt: skip
def test_a_cause_has_a_sentence_without_an_address(error: Exception, sentence: str) -> None:
    assert cause_of(error) == sentence


OUTAGES = (
    psycopg.OperationalError("the connection is lost"),
    PoolTimeout("30 s"),
    errors.ConnectionFailure("08006"),
    errors.DiskFull("53100"),
    errors.TooManyConnections("53300"),
    errors.AdminShutdown("57P01"),
    errors.CrashShutdown("57P02"),
    errors.CannotConnectNow("57P03"),
    errors.ReadOnlySqlTransaction("25006"),
)
NO_OUTAGES = (
    errors.DeadlockDetected("40P01"),
    errors.LockNotAvailable("55P03"),
    errors.QueryCanceled("57014"),
    errors.IoError("58030"),
    errors.UniqueViolation("23505"),
    psycopg.InterfaceError("the connection is closed"),
    ValueError("no error of the database"),
)


@pytest.mark.parametrize("error", OUTAGES, ids=repr)
def test_a_database_that_cannot_work_is_an_outage(error: Exception) -> None:
    assert is_outage(error)


@pytest.mark.parametrize("error", NO_OUTAGES, ids=repr)
def test_an_error_of_one_statement_is_no_outage(error: Exception) -> None:
    assert not is_outage(error)


def test_a_pool_that_waited_in_vain_names_why_it_could_not_connect() -> None:
    with pytest.raises(psycopg.OperationalError):
        CausedConnection.connect("host=127.0.0.1 port=1 dbname=x connect_timeout=2")
    assert cause_of(PoolTimeout("30 s")) == "The database refuses connections: nothing listens there."

"""What an outage of PostgreSQL is called."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from psycopg_pool import PoolTimeout

from schema.database_faults import AWAY, BUSY, READ_ONLY, CausedConnection, cause_of


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (errors.DiskFull("could not extend file"), "The database's disk is full."),
        (errors.TooManyConnections("sorry"), BUSY),
        (errors.ReadOnlySqlTransaction("cannot execute INSERT"), READ_ONLY),
        (psycopg.OperationalError("connection failed: session is read-only"), READ_ONLY),
        (psycopg.OperationalError('password authentication failed for user "x"'), "The database refuses the login."),
        (psycopg.OperationalError("FATAL:  sorry, too many clients already"), BUSY),
        (psycopg.OperationalError("something else at host 10.0.0.1"), AWAY),
    ],
)  # fmt: skip
def test_a_cause_has_a_sentence_without_an_address(error: Exception, sentence: str) -> None:
    assert cause_of(error) == sentence


def test_a_pool_that_waited_in_vain_names_why_it_could_not_connect() -> None:
    with pytest.raises(psycopg.OperationalError):
        CausedConnection.connect("host=127.0.0.1 port=1 dbname=x connect_timeout=2")
    assert cause_of(PoolTimeout("30 s")) == "The database refuses connections: nothing listens there."

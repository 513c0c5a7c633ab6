"""The single connection of a function leaves a server that has become read-only."""

from __future__ import annotations

import pytest
from psycopg.errors import ReadOnlySqlTransaction

from functions.runtime.database import OneConnection
from schema.sql import Conn

pytestmark = pytest.mark.both_postgres


def become_read_only(conn: Conn) -> None:
    conn.execute("SET default_transaction_read_only = on")


def write(conn: Conn) -> int:
    return conn.execute("UPDATE users SET name = name").rowcount


def test_a_call_on_a_read_only_server_fails_and_the_next_uses_a_new_connection(database: str) -> None:
    one = OneConnection(database)
    one.call_alone(become_read_only)
    with pytest.raises(ReadOnlySqlTransaction):
        one.call_alone(write)
    assert one.call_alone(write) > 0
    one.close()

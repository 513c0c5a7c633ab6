"""A pool whose every connection was lost serves the very next caller."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from functions.runtime.database import Pool
from schema.sql import Conn
from tests.integration.functions.conftest import wait_until

SIZE = 3


@pytest.fixture
def pool(database: str) -> Iterator[Pool]:
    """As many connections as it may have, all idle."""
    pool = Pool(database, size=SIZE, name="tests", wait_seconds=10)
    pool.open()
    with ExitStack() as held:
        for _ in range(SIZE):
            held.enter_context(pool.transaction())
    yield pool
    pool.close()


def lose_all(conn: psycopg.Connection) -> None:
    cut = """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()"""
    wait_until(lambda: len(conn.execute(cut).fetchall()) == 0)


def one(conn: Conn) -> object:
    return conn.execute("SELECT 1").fetchone()


def test_a_call_alone_survives_lost_connections(pool: Pool, conn: psycopg.Connection) -> None:
    lose_all(conn)
    assert pool.call_alone(one) == (1,)


def test_a_transaction_begins_anew_after_lost_connections(pool: Pool, conn: psycopg.Connection) -> None:
    lose_all(conn)
    with pool.transaction() as own:
        assert one(own) == (1,)


def test_a_connection_is_replaced_after_its_lifetime(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a pool meets a new server of a cluster, although no connection was lost."""
    monkeypatch.setattr("functions.runtime.database.LIFETIME_SECONDS", 0.01)
    pool = Pool(database, size=1, name="tests", wait_seconds=30)
    pool.open()
    seen = set[object]()

    def has_another() -> bool:
        with pool.transaction() as conn:
            seen.add(conn.execute("SELECT pg_backend_pid()").fetchone())
        return len(seen) > 1

    try:
        wait_until(has_another, seconds=30)
    finally:
        pool.close()

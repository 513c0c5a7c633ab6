"""Every test has a database of its own, migrated, on each version of PostgreSQL that we support."""

import psycopg
import pytest

from schema.migrate import apply_migrations


@pytest.mark.both_postgres
def test_database_is_migrated_and_of_the_version_asked_for(conn: psycopg.Connection, postgres_version: int) -> None:
    assert conn.info.server_version // 10_000 == postgres_version
    assert conn.execute("SELECT name FROM apps").fetchall() == [("default",)]


@pytest.mark.parametrize("turn", [1, 2])
def test_what_one_test_writes_no_other_sees(conn: psycopg.Connection, turn: int) -> None:
    conn.execute("INSERT INTO users (name, role) VALUES ('visitor', 'member')")
    assert conn.execute("SELECT count(*) FROM users WHERE name = 'visitor'").fetchone() == (1,), turn


@pytest.mark.both_postgres
def test_migrations_applied_twice_do_nothing_the_second_time(empty_database: str) -> None:
    assert len(apply_migrations(empty_database)) >= 2
    assert apply_migrations(empty_database) == []

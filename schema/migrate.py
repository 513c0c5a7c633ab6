"""Apply the numbered migrations: `DATABASE_URL=... python -m schema.migrate`. Concurrent calls are safe."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from schema.addresses import database_address
from schema.sealed_environment import seal_or_exit
from schema.sql import Conn, fetch_all

MIGRATIONS = Path(__file__).parent / "migrations"


def apply_migrations(dsn: str) -> list[str]:
    """Bring the database up to date. Return the ids of the migrations that were applied now. `dsn` as psycopg takes
    it."""
    from yoyo import get_backend, read_migrations  # imported late: listing pending migrations needs no yoyo

    # An advisory lock goes with its connection; yoyo's own lock row would outlive a killed migrator.
    with psycopg.connect(dsn, autocommit=True) as guard:
        guard.execute("SELECT pg_advisory_lock(hashtext('runyard migrations'))")
        backend = get_backend(_yoyo_uri(dsn))
        try:
            pending = backend.to_apply(read_migrations(str(MIGRATIONS)))
            backend.apply_migrations(pending)
            return [migration.id for migration in pending]
        finally:
            backend.connection.close()


def pending_migrations(conn: Conn) -> list[str]:
    """Return the ids of the migrations that this code needs and the database lacks.

    The connection is in autocommit mode or in a transaction. A database without any migration raises psycopg's
    UndefinedTable.
    """
    applied = {row.migration_id for row in fetch_all(conn, "applied_migrations", _Applied)}
    return sorted({file.stem for file in MIGRATIONS.glob("*.sql")} - applied)


@dataclass(frozen=True)
class _Applied:
    migration_id: str


def _yoyo_uri(dsn: str) -> str:
    """Return yoyo's form of the address: all but the database's name become psycopg keywords in the query part."""
    keywords = conninfo_to_dict(dsn)
    database = quote(str(keywords.pop("dbname", "")), safe="")
    return f"postgresql+psycopg:///{database}?{urlencode(keywords)}"


def main() -> int:
    dsn = os.environ.get("DATABASE_URL")
    if not dsn:
        sys.stderr.write("Set DATABASE_URL to the database to migrate.\n")
        return 2
    try:
        database_address(dsn)
    except ValueError as error:
        sys.stderr.write(f"DATABASE_URL: {error}.\n")
        return 2
    try:
        applied = apply_migrations(dsn)
    except psycopg.OperationalError as error:  # its text may hold part of a password that contains @
        why = error.diag.message_primary or "PostgreSQL is unreachable or refused the connection: check DATABASE_URL"
        sys.stderr.write(f"The database was not migrated. {why}.\n")
        return 1
    for name in applied or ["up to date"]:
        sys.stdout.write(f"migrations: {name}\n")
    return 0


if __name__ == "__main__":
    seal_or_exit(["DATABASE_URL"])
    sys.exit(main())

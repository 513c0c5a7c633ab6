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
from schema.database_poolers import ADDRESSES, named_database, pooler_fault
from schema.sealed_environment import seal_or_exit
from schema.sql import Conn, fetch_all

MIGRATIONS = Path(__file__).parent / "migrations"


class NotMigratable(Exception):
    """The database cannot be used; the message says why and what to do."""


def apply_migrations(dsn: str) -> list[str]:
    """Bring the database up to date. Return the ids of the migrations that were applied now. `dsn` as psycopg takes
    it. Raises NotMigratable."""
    from yoyo import get_backend, read_migrations  # imported late: listing pending migrations needs no yoyo

    # An advisory lock goes with its connection; yoyo's own lock row would outlive a killed migrator.
    with psycopg.connect(dsn, autocommit=True) as guard:
        pooler = os.environ.get("DATABASE_POOLER", "")
        if (fault := pooler_fault(guard, pooler) or encoding_fault(guard)) is not None:
            raise NotMigratable(fault)
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


def unknown_migrations(conn: Conn) -> list[str]:
    """Return the ids of the migrations that a newer release has applied. Raises as `pending_migrations`."""
    applied = {row.migration_id for row in fetch_all(conn, "applied_migrations", _Applied)}
    return sorted(applied - {file.stem for file in MIGRATIONS.glob("*.sql")})


def encoding_fault(conn: Conn) -> str | None:
    """Say that the database cannot hold all texts; None when it is in UTF-8."""
    encoding = conn.info.parameter_status("server_encoding")
    if encoding == "UTF8":
        return None
    return (
        f"The database {conn.info.dbname} has the encoding {encoding}, which cannot hold all texts. Create it anew: "
        "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
    )


def newer_sentence(conn: Conn) -> str | None:
    """Say that a newer release has migrated the database; None when this code knows all of it, or nothing is there."""
    try:
        names = unknown_migrations(conn)
    except psycopg.errors.UndefinedTable:
        return None
    if not names:
        return None
    return (
        f"A newer release has migrated the database ({', '.join(names)}). Start that release, or restore a backup of "
        "before it."
    )


@dataclass(frozen=True)
class _Applied:
    migration_id: str


def _yoyo_uri(dsn: str) -> str:
    """Return yoyo's form of the address: all but the database's name become psycopg keywords in the query part."""
    keywords = conninfo_to_dict(dsn)
    database = quote(str(keywords.pop("dbname", "")), safe="")
    return f"postgresql+psycopg:///{database}?{urlencode(keywords)}"


def main() -> int:
    dsn = named_database(os.environ)
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
    except NotMigratable as error:
        sys.stderr.write(f"The database was not migrated. {error}\n")
        return 1
    except psycopg.OperationalError as error:  # its text may hold part of a password that contains @
        why = error.diag.message_primary or "PostgreSQL is unreachable or refused the connection: check DATABASE_URL"
        sys.stderr.write(f"The database was not migrated. {why}.\n")
        return 1
    for name in applied or ["up to date"]:
        sys.stdout.write(f"migrations: {name}\n")
    return 0


if __name__ == "__main__":
    seal_or_exit(ADDRESSES)
    sys.exit(main())

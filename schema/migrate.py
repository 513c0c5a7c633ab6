"""Apply the numbered migrations: `DATABASE_URL=... python -m schema.migrate`. Safe to run by several at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict
from yoyo import get_backend, read_migrations

MIGRATIONS = Path(__file__).parent / "migrations"


def apply_migrations(dsn: str) -> list[str]:
    """Bring the database up to date; the ids of the migrations that were applied now. `dsn` as psycopg takes it."""
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


def _yoyo_uri(dsn: str) -> str:
    """yoyo's own form: everything but the database's name travels as psycopg keywords in the query part."""
    keywords = conninfo_to_dict(dsn)
    database = quote(str(keywords.pop("dbname", "")), safe="")
    return f"postgresql+psycopg:///{database}?{urlencode(keywords)}"


def main() -> int:
    dsn = os.environ.get("DATABASE_URL")
    if not dsn:
        sys.stderr.write("Set DATABASE_URL to the database to migrate.\n")
        return 2
    for name in apply_migrations(dsn) or ["nothing to do"]:
        sys.stdout.write(f"migrations: {name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

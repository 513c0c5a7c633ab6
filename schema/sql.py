"""Run named queries: every statement is in schema/queries/*.sql under `-- name: ...` and is called by that name.

What many statements use, such as a row's columns or a condition, is defined once, under `-- fragment: ...`; `{...}` in
any statement inserts it.
Parameters are `%(name)s`; values of type dict and list are passed as jsonb where wrapped by `jsonb()`.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from psycopg import Connection
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

T = TypeVar("T")
Conn = Connection[Any]
QUERIES = Path(__file__).parent / "queries"
_HEADING = re.compile(r"^-- (name|fragment): (\w+)\n", re.MULTILINE)
_INSERTED = re.compile(r"\{(\w+)\}")

jsonb = Jsonb

# libpq reads these when it connects, and sends the first two, also through a pooler: times on the wire end in Z, and
# are read whatever style a database or role has. A server that takes no writes is passed over for the next host.
os.environ["PGTZ"] = "UTC"
os.environ["PGDATESTYLE"] = "ISO"
os.environ.setdefault("PGTARGETSESSIONATTRS", "read-write")


@cache
def queries() -> dict[str, bytes]:
    """Return all statements by name. Raises ValueError for a repeated name and KeyError for an unknown fragment."""
    written = _written()
    return {name: _with_fragments(text, written).encode() for (kind, name), text in written.items() if kind == "name"}


def _written() -> dict[tuple[str, str], str]:
    statements: dict[tuple[str, str], str] = {}
    for file in sorted(QUERIES.glob("*.sql")):
        parts = _HEADING.split(file.read_text())
        for kind, name, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            if (kind, name) in statements:
                raise ValueError(f"{kind} {name} is defined twice, the second time in {file.name}")
            statements[kind, name] = text.strip().rstrip(";")
    return statements


def _with_fragments(statement: str, written: dict[tuple[str, str], str]) -> str:
    return _INSERTED.sub(lambda reference: written["fragment", reference[1]], statement)


def fetch_one(conn: Conn, name: str, row: type[T], /, **params: object) -> T | None:
    """Return the first row as `row`, or None."""
    with conn.cursor(row_factory=class_row(row)) as cursor:
        return cursor.execute(queries()[name], params).fetchone()


def fetch_the(conn: Conn, name: str, row: type[T], /, **params: object) -> T:
    """Return the row that must exist (just inserted, or read under its lock). Raises LookupError otherwise."""
    result = fetch_one(conn, name, row, **params)
    if result is None:
        raise LookupError(f"{name} returned no row")
    return result


def fetch_all(conn: Conn, name: str, row: type[T], /, **params: object) -> list[T]:
    """Return all rows as `row`."""
    with conn.cursor(row_factory=class_row(row)) as cursor:
        return cursor.execute(queries()[name], params).fetchall()


def fetch_value(conn: Conn, name: str, /, **params: object) -> Any:
    """Return the first column of the first row, or None when there is no row."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(queries()[name], params).fetchone()


def execute(conn: Conn, name: str, /, **params: object) -> int:
    """Run the statement and return how many rows it touched."""
    with conn.cursor() as cursor:
        return cursor.execute(queries()[name], params).rowcount

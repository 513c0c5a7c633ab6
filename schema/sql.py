"""Named queries: every statement stands in schema/queries/*.sql under `-- name: ...`, and is called by that name.

Columns that many statements name stand once, under `-- columns: ...`, and `{...}` in any statement means them.
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
_HEADING = re.compile(r"^-- (name|columns): (\w+)\n", re.MULTILINE)
_COLUMNS = re.compile(r"\{(\w+)\}")

jsonb = Jsonb

os.environ["PGTZ"] = "UTC"  # libpq sends it when it connects, also through a pooler: times on the wire end in Z


@cache
def queries() -> dict[str, bytes]:
    """All statements by name; a name that stands twice, or columns that stand nowhere, are an error."""
    written = _written()
    return {name: _with_columns(text, written).encode() for (kind, name), text in written.items() if kind == "name"}


def _written() -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for file in sorted(QUERIES.glob("*.sql")):
        parts = _HEADING.split(file.read_text())
        for kind, name, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            if (kind, name) in found:
                raise ValueError(f"{kind} {name} stands twice, the second time in {file.name}")
            found[kind, name] = text.strip().rstrip(";")
    return found


def _with_columns(statement: str, written: dict[tuple[str, str], str]) -> str:
    return _COLUMNS.sub(lambda meant: written["columns", meant[1]], statement)


def fetch_one(conn: Conn, name: str, row: type[T], /, **params: object) -> T | None:
    """The first row as `row`, or None."""
    with conn.cursor(row_factory=class_row(row)) as cursor:
        return cursor.execute(queries()[name], params).fetchone()


def fetch_the(conn: Conn, name: str, row: type[T], /, **params: object) -> T:
    """The row that is there for certain (just inserted, or read under its lock); LookupError otherwise."""
    found = fetch_one(conn, name, row, **params)
    if found is None:
        raise LookupError(f"{name} found no row")
    return found


def fetch_all(conn: Conn, name: str, row: type[T], /, **params: object) -> list[T]:
    """All rows as `row`."""
    with conn.cursor(row_factory=class_row(row)) as cursor:
        return cursor.execute(queries()[name], params).fetchall()


def fetch_value(conn: Conn, name: str, /, **params: object) -> Any:
    """The first column of the first row, or None when there is no row."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(queries()[name], params).fetchone()


def execute(conn: Conn, name: str, /, **params: object) -> int:
    """Run it; how many rows it touched."""
    with conn.cursor() as cursor:
        return cursor.execute(queries()[name], params).rowcount

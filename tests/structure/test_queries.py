"""Every named query is one statement that PostgreSQL accepts against the migrated tables, and that somebody calls."""

from __future__ import annotations

import ast
import re

import psycopg
import pytest
from psycopg import sql

from schema.sql import queries
from tests.structure.repository import PACKAGES, python_files, tree_of

PARAMETER = re.compile(rb"%\((\w+)\)s|%(%)")
NAMES = sorted(queries())


def as_prepared(statement: bytes) -> bytes:
    """`%(name)s` becomes `$n`, the same number for the same name; `%%` becomes `%`."""
    numbers: dict[bytes, int] = {}

    def replace(found: re.Match[bytes]) -> bytes:
        if found[2]:
            return b"%"
        return b"$%d" % numbers.setdefault(found[1], len(numbers) + 1)

    return PARAMETER.sub(replace, statement)


@pytest.mark.both_postgres
def test_every_query_prepares(conn: psycopg.Connection) -> None:
    refused = {}
    for name in NAMES:
        try:
            conn.execute(
                sql.SQL("PREPARE {} AS ").format(sql.Identifier(name)).as_bytes(conn) + as_prepared(queries()[name])
            )
        except psycopg.Error as error:
            refused[name] = str(error)
    assert refused == {}


@pytest.mark.parametrize("name", NAMES)
def test_no_query_asks_for_all_columns(name: str) -> None:
    assert not re.search(rb"\bselect\s+(\w+\.)?\*", queries()[name], re.IGNORECASE)


def test_every_query_is_called() -> None:
    assert set(NAMES) - strings_in_code() == set()


def strings_in_code() -> set[str]:
    return {
        node.value
        for path in python_files(*PACKAGES)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

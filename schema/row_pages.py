"""Read a page of rows, bounded by its number of rows and by its bytes.

Users and agents decide how large a row is: an event may have 8 MB. PostgreSQL ends the page, so the rows beyond it are
never in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import Field, fields
from functools import cache
from typing import Any, ClassVar, Protocol, TypeVar

from psycopg.rows import tuple_row

from schema.sql import Conn, queries

T = TypeVar("T")
_Row = TypeVar("_Row", bound="_Dataclass")
_Shown = TypeVar("_Shown")
PAGE_BYTES = 8 * 1024 * 1024
"""A page ends with the row that reaches so many bytes, so that a page always has a row."""

# The inner window adds up stored sizes, which PostgreSQL knows without reading a large value. The outer window adds up
# texts, because a value that is stored compressed may be a hundred times larger. It reads no row beyond the inner sum.
# Both windows take the rows in the statement's order.
_BOUNDED = """
SELECT {columns}, is_followed
FROM (
    SELECT {columns}, place, is_followed, sum(octet_length(concat({bodies}))) OVER until AS bytes_before
    FROM (
        SELECT
            {columns}, row_number() OVER until AS place, lead(true) OVER until AS is_followed,
            sum({stored}) OVER until AS stored_before
        FROM ({statement}) AS listed
        WINDOW until AS (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ) AS placed
    WHERE COALESCE(stored_before, 0) < %(page_bytes)s
    WINDOW until AS (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
) AS measured
WHERE COALESCE(bytes_before, 0) < %(page_bytes)s
ORDER BY place
"""


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


class RowPage(list[T]):
    """Rows in order. `is_full`: the page ended at its number of rows or at its bytes, so that more may follow."""

    def __init__(self, rows: Iterable[T], *, is_full: bool) -> None:
        super().__init__(rows)
        self.is_full = is_full

    def shown(self, show: Callable[[T], _Shown]) -> RowPage[_Shown]:
        """Return the page with each row as `show` shows it."""
        return RowPage(map(show, self), is_full=self.is_full)


def fetch_page(
    conn: Conn, name: str, row: type[_Row], /, *, bodies: tuple[str, ...], limit: int, **params: object
) -> RowPage[_Row]:
    """Return the first rows of a statement that takes `limit`: one, and more while they have less than PAGE_BYTES.

    `bodies` are the columns whose bytes count: those that can be large.
    """
    columns = tuple(field.name for field in fields(row))
    statement = _bounded(name, columns, bodies)
    with conn.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(statement, {**params, "limit": limit, "page_bytes": PAGE_BYTES}).fetchall()
    is_cut = bool(found) and found[-1][-1] is True
    return RowPage(
        [row(**dict(zip(columns, values[:-1], strict=True))) for values in found],
        is_full=is_cut or len(found) == limit,
    )


@cache
def _bounded(name: str, columns: tuple[str, ...], bodies: tuple[str, ...]) -> bytes:
    return _BOUNDED.format(
        columns=", ".join(columns),
        bodies=", ".join(bodies),
        stored=" + ".join(f"COALESCE(pg_column_size({body}), 0)" for body in bodies),
        statement=queries()[name].decode(),
    ).encode()

"""Treat each row of many sessions or users alone: a row that fails is logged once, and the others go on.

A log line names the row by its ids and the error by its class and line. The error's message is left out: it may repeat
the row's content.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import structlog
from psycopg import ProgrammingError

from schema.database_faults import BUSY_ERRORS, is_outage
from schema.sql import Conn

T = TypeVar("T")
MOST_REMEMBERED = 10_000
CODE = Path(__file__).resolve().parents[1]

_log = structlog.stdlib.get_logger(__name__)
_Row = tuple[str, tuple[tuple[str, str], ...]]


class _FailedRows:
    """The rows that have been logged and have not succeeded since, at most MOST_REMEMBERED."""

    def __init__(self) -> None:
        self._rows: dict[_Row, None] = {}
        self._lock = threading.Lock()

    def add(self, row: _Row) -> bool:
        """Return whether the row is new here."""
        with self._lock:
            is_new = row not in self._rows
            if is_new and len(self._rows) >= MOST_REMEMBERED:
                del self._rows[next(iter(self._rows))]
            self._rows[row] = None
            return is_new

    def remove(self, row: _Row) -> None:
        if row in self._rows:
            with self._lock:
                self._rows.pop(row, None)


_failed = _FailedRows()


@dataclass(frozen=True)
class Isolation:
    """A block whose errors end with it, but for outages of the database, which every other row would meet too."""

    row: _Row

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is None:
            _failed.remove(self.row)
        if not isinstance(error, Exception) or is_outage(error):
            return False
        _tell(self.row, error)
        return True


def isolated(event: str, **ids: object) -> Isolation:
    """Keep an error of the block away from other rows: log it as `event` with the ids, once until the row succeeds."""
    return Isolation(_row(event, ids))


def rows_that_load(
    conn: Conn, ids: Sequence[UUID], read: Callable[[Sequence[UUID]], list[T]], *, event: str, name: str
) -> list[T]:
    """Read the rows of the ids at once. If that fails, read halves, down to the ids that fail, which are logged.

    The caller is in a transaction. `name` is the ids' key in the log. Raises errors that no row causes: outages, waits
    for a lock, timeouts, and statements that do not fit the database.
    """
    if not ids:
        return []
    try:
        with conn.transaction():
            rows = read(ids)
    except Exception as error:
        if is_outage(error) or isinstance(error, (ProgrammingError, *BUSY_ERRORS)):
            raise
        if len(ids) == 1:
            _tell(_row(event, {name: ids[0]}), error)
            return []
    else:
        for id_ in ids:
            _failed.remove(_row(event, {name: id_}))
        return rows
    middle = len(ids) // 2
    halves = (ids[:middle], ids[middle:])
    return [row for half in halves for row in rows_that_load(conn, half, read, event=event, name=name)]


def _row(event: str, ids: Mapping[str, object]) -> _Row:
    return event, tuple((name, str(id_)) for name, id_ in ids.items())


def _tell(row: _Row, error: Exception) -> None:
    event, ids = row
    if _failed.add(row):
        _log.error(event, **dict(ids), error=type(error).__name__, at=_place(error))


def _place(error: Exception) -> str:
    """Return `file:line` of the error's innermost frame in this code."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if CODE in Path(frame.filename).parents]
    own = [frame for frame in frames if "site-packages" not in frame.filename]
    return f"{Path(own[-1].filename).relative_to(CODE)}:{own[-1].lineno}" if own else "unknown"

"""A periodic task's own error is logged with its task and traceback; an outage of PostgreSQL is logged as one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from jobs.periodic import OutageLog, PeriodicTask, running_periodically
from schema.sql import Conn
from tests.integration.jobs.waiting import wait_until


@pytest.fixture
def blocked(conn: Conn, database: str) -> Iterator[Conn]:
    """A connection that does not wait for the locks of another on `runs`."""
    with psycopg.connect(database, autocommit=True) as blocked, conn.transaction():
        conn.execute("LOCK TABLE runs")
        blocked.execute("SET lock_timeout = '10ms'")
        yield blocked


def logged(run_once: Callable[[], None]) -> list[EventDict]:
    """The log of a periodic task that ran twice."""
    runs, closing = [0], threading.Event()

    def counted() -> None:
        runs[0] += 1
        run_once()

    with capture_logs() as log, running_periodically([PeriodicTask("clean", counted, 0.01)], closing=closing):
        wait_until(lambda: runs[0] > 2, lambda: log, seconds=60)
    return log


def test_a_statement_that_waits_for_a_lock_too_long_is_the_tasks_error(blocked: Conn) -> None:
    def read() -> None:
        blocked.execute("SELECT id FROM runs")

    [entry] = logged(read)
    assert (entry["event"], entry["task"], entry["exc_info"]) == ("periodic_task.failed", "clean", True)


def test_a_server_that_is_away_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect() -> None:
        psycopg.connect("host=127.0.0.1 port=1 dbname=nowhere connect_timeout=2")

    monkeypatch.setattr("jobs.periodic.outages", OutageLog())
    assert [entry["event"] for entry in logged(connect)] == ["database.unavailable"]

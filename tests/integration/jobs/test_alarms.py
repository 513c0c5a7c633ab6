"""What hurts the database slowly is found, and named with what to do about it."""

from __future__ import annotations

import psycopg
import pytest

from handlers.alarms import Limits, alarms
from schema.sql import Conn

pytestmark = pytest.mark.both_postgres


def test_a_database_that_is_well_raises_no_alarm(conn: Conn) -> None:
    assert alarms(conn, Limits()) == []


def test_a_queue_of_notifications_above_its_limit_is_told(conn: Conn) -> None:
    assert [alarm.code for alarm in alarms(conn, Limits(queue_usage=-1))] == ["notification_queue"]


def test_a_transaction_that_is_open_for_too_long_is_told_with_its_end(conn: Conn, database: str) -> None:
    with psycopg.connect(database, application_name="somebody") as idle:
        idle.execute("SELECT 1")
        pid = idle.info.backend_pid
        [alarm] = alarms(conn, Limits(idle_seconds=0))
    assert alarm.code == "idle_transaction"
    assert f"pg_terminate_backend({pid})" in alarm.message
    assert "somebody" in alarm.message

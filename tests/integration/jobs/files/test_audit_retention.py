"""Old rows of the audit go after their days, and nobody deletes a young one."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from jobs.context import TaskContext
from jobs.files import audit_retention
from jobs.files.audit_retention import delete_old_audit
from jobs.runtime.settings import read_settings
from schema.settings import BadSetting
from tests.integration.jobs.conftest import callbacks, environment, make_context

__all__ = ["callbacks", "environment", "make_context"]
MakeContext = Callable[..., TaskContext]


@pytest.fixture
def aged(conn: psycopg.Connection) -> psycopg.Connection:
    """Rows of 1, 8, 40 and 400 days, seven of each."""
    conn.execute(
        "INSERT INTO file_audit (at, action, path, allowed, reason)"
        " SELECT now() - make_interval(days => days), 'tree', days::text, true, 'ok'"
        " FROM unnest(ARRAY[1, 8, 40, 400]) AS days, generate_series(1, 7)"
    )
    conn.commit()
    return conn


def counted(conn: psycopg.Connection) -> dict[str, int]:
    return dict(conn.execute("SELECT path, count(*) FROM file_audit GROUP BY path").fetchall())


def test_rows_older_than_the_setting_are_deleted_in_batches(
    aged: psycopg.Connection, make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_retention, "BATCH_ROWS", 3)
    delete_old_audit(make_context(executor_spares=0, file_audit_days=30))
    assert counted(aged) == {"1": 7, "8": 7}


def test_by_default_a_year_is_kept_and_zero_keeps_everything(
    aged: psycopg.Connection, make_context: MakeContext
) -> None:
    delete_old_audit(make_context(executor_spares=0, file_audit_days=0))
    assert counted(aged) == {"1": 7, "8": 7, "40": 7, "400": 7}
    delete_old_audit(make_context(executor_spares=0))
    assert counted(aged) == {"1": 7, "8": 7, "40": 7}


def test_no_statement_deletes_a_young_row(aged: psycopg.Connection) -> None:
    for statement in ("DELETE FROM file_audit", "SET runyard.deletes_old_audit = 'on'; DELETE FROM file_audit"):
        with pytest.raises(psycopg.errors.RaiseException, match="never changed"), aged.transaction():
            aged.execute(statement)
    [(deleted,)] = aged.execute("SELECT delete_old_file_audit(30, 100)").fetchall()
    assert deleted == 14
    with pytest.raises(psycopg.errors.RaiseException, match="never changed"), aged.transaction():
        aged.execute("SELECT delete_old_file_audit(0, 100)")
    assert counted(aged) == {"1": 7, "8": 7}


def test_old_rows_of_the_operators_audit_are_deleted_in_batches(
    conn: psycopg.Connection, make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_retention, "BATCH_ROWS", 3)
    conn.execute(
        "INSERT INTO audit_log (at, actor, action) SELECT now() - make_interval(days => days), 'admin', days::text"
        " FROM unnest(ARRAY[400, 40, 8, 1]) AS days, generate_series(1, 7)"
    )
    counted = "SELECT action, count(*) FROM audit_log GROUP BY action"
    delete_old_audit(make_context(executor_spares=0, audit_log_days=0))
    assert dict(conn.execute(counted).fetchall()) == {"1": 7, "8": 7, "40": 7, "400": 7}
    delete_old_audit(make_context(executor_spares=0))
    assert dict(conn.execute(counted).fetchall()) == {"1": 7, "8": 7, "40": 7}
    delete_old_audit(make_context(executor_spares=0, audit_log_days=30))
    assert dict(conn.execute(counted).fetchall()) == {"1": 7, "8": 7}


@pytest.mark.parametrize("days", ["1", "6", "-1"])
@pytest.mark.parametrize("name", ["FILE_AUDIT_DAYS", "AUDIT_LOG_DAYS"])
def test_a_setting_of_less_than_a_week_is_refused(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, days: str, name: str
) -> None:
    for variable, value in {**environment, name: days}.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(BadSetting, match=name):
        read_settings()

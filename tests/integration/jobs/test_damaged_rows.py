"""A periodic task does its work for all other sessions when the row of one is damaged, and says so once."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from structlog.testing import CapturingLogger

from handlers.runs.claim import claim_run
from handlers.runs.reconcile import part_seen
from jobs.context import TaskContext
from jobs.human_loop.expire import expire_requests
from jobs.runs.fold_logs import fold_logs
from jobs.runs.reconcile import reconcile_runs
from schema.rows import RunRow
from tests.integration.jobs.conftest import Runs

NO_MOMENT = "UPDATE runs SET created_at = 'infinity' WHERE id = %s"
NO_LOG = "DELETE FROM session_logs WHERE session_id = (SELECT session_id FROM runs WHERE id = %s)"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[CapturingLogger]:
    log = CapturingLogger()
    monkeypatch.setattr("schema.isolation._log", log)
    yield log
    assert "a secret" not in str(log.calls)


def logged(log: CapturingLogger) -> list[tuple[str, str]]:
    """The event of each line, with the first id that it names."""
    return [(call.args[0], next(iter(call.kwargs.values()))) for call in log.calls]


def claimed(context: TaskContext, runs: Runs) -> RunRow:
    """A run whose claim led to nothing, long ago."""
    run = runs.start()
    context.database.transact(claim_run, run.id, owner="gone", lock_seconds=60)
    runs.conn.execute("UPDATE runs SET lock_expires_at = now() - interval '1 s' WHERE id = %s", (run.id,))
    return run


@pytest.mark.parametrize("damage", [NO_MOMENT, NO_LOG])
def test_a_damaged_run_keeps_no_other_from_being_reconciled(
    context: TaskContext, runs: Runs, log: CapturingLogger, damage: str
) -> None:
    part_seen(runs.conn, "worker", context.limits)
    damaged, others = claimed(context, runs), [claimed(context, runs) for _ in range(3)]
    runs.conn.execute(damage, (damaged.id,))
    for _ in range(2):
        reconcile_runs(context)
    assert {runs.row(run.id).status for run in others} == {"queued"}
    assert logged(log) == [("run.not_reconciled", str(damaged.id))]


def requested(runs: Runs, run: RunRow) -> UUID:
    row = runs.conn.execute(
        "INSERT INTO human_requests (id, session_id, run_id, attempt, kind, title, fingerprint, on_expiry, expires_at)"
        " VALUES (gen_random_uuid(), %s, %s, 1, 'permission', 'a secret', 'f', 'deny', now() - interval '1 s')"
        " RETURNING id",
        (run.session_id, run.id),
    ).fetchone()
    assert row is not None
    request_id: UUID = row[0]
    return request_id


def test_a_damaged_request_keeps_no_other_from_expiring(context: TaskContext, runs: Runs, log: CapturingLogger) -> None:
    damaged, other = (requested(runs, claimed(context, runs)) for _ in range(2))
    runs.conn.execute("UPDATE human_requests SET expires_at = '-infinity' WHERE id = %s", (damaged,))
    for _ in range(2):
        expire_requests(context)
    decided = runs.conn.execute("SELECT id FROM human_requests WHERE decided_by = 'timeout'").fetchall()
    assert decided == [(other,)]
    assert logged(log) == [("request.not_expired", str(damaged))]


def test_a_damaged_event_keeps_no_other_log_from_being_folded(
    context: TaskContext, runs: Runs, log: CapturingLogger
) -> None:
    damaged, other = runs.start(), runs.start()
    for run in (damaged, other):
        runs.stop(run.id)
    runs.conn.execute("UPDATE run_events SET data = '\"a secret\"' WHERE session_id = %s", (damaged.session_id,))
    for _ in range(2):
        fold_logs(context)
    folded = runs.conn.execute("SELECT session_id FROM runs WHERE is_folded").fetchall()
    assert folded == [(other.session_id,)]
    assert logged(log) == [("log.not_folded", str(damaged.session_id))]

"""Runs that follow each other at once, by a real executor: the files of each are those that it left."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from tests.integration.functions.files.live.conftest import LiveSession
from tests.integration.jobs.conftest import JobWorker
from tests.integration.jobs.waiting import wait_until
from tests.object_stores import RunningStore

COMMITS_SNAPSHOT = """SELECT count(*) > 0
    FROM pg_locks AS lock JOIN pg_database AS here ON here.oid = lock.database AND here.datname = current_database()
    WHERE lock.relation = 'snapshots'::regclass AND lock.mode = 'RowExclusiveLock' AND NOT lock.granted"""
ANOTHER_SAVES = """UPDATE session_workers
    SET sync_claimed_by = 'another', sync_claim = sync_claim + 1, sync_lock_expires_at = now() + interval '1 hour'
    WHERE session_id = %s"""


def test_each_queued_run_shows_its_own_files_and_what_it_changed(live: LiveSession) -> None:
    runs = [live.begin(f"run: echo {number} >> log; echo {number} > last; touch made-{number}") for number in (1, 2, 3)]
    live.wait_for(runs[-1], "succeeded")
    live.wait_until_saved()
    assert [live.read("content", path="last", runId=run)["text"] for run in runs] == ["1\n", "2\n", "3\n"]
    assert [live.read("content", path="log", runId=run)["runId"] for run in runs] == [str(run) for run in runs]
    between = live.read("diff", **{"from": runs[0], "to": runs[1]})["files"]
    assert {change["path"]: change["change"] for change in between} == {
        "last": "changed",
        "log": "changed",
        "made-2": "added",
    }
    assert quiesced_by_run(live, runs) == [1, 1, 1]


def test_a_run_whose_save_was_never_committed_shows_its_own_files(
    live: LiveSession, make_job_worker: Callable[..., JobWorker], object_store: RunningStore
) -> None:
    live.wait_until_saved()
    with live.conn.transaction():
        live.conn.execute("LOCK TABLE snapshots IN SHARE MODE")  # all is uploaded, and the commit waits
        first = live.say("run: echo 1 > last")
        wait_until(lambda: is_true(live, COMMITS_SNAPSHOT), live.job_worker.log.read_text, seconds=60)
        live.job_worker.kill()
    wait_until(lambda: not is_true(live, COMMITS_SNAPSHOT), live.job_worker.log.read_text, seconds=60)
    live.conn.execute("SELECT pg_advisory_lock(hashtextextended('runyard job worker another', 0))")
    live.conn.execute(ANOTHER_SAVES, (live.id,))
    live.job_worker = make_job_worker(EXECUTOR_SPARES="0", **object_store.environment)
    second = live.say("run: echo 2 > last")
    assert quiesced_by_run(live, [first, second]) == [0, 0]
    live.conn.execute("SELECT pg_advisory_unlock(hashtextextended('runyard job worker another', 0))")
    live.wait_until_saved()
    assert [live.read("content", path="last", runId=run)["text"] for run in (first, second)] == ["1\n", "2\n"]
    assert quiesced_by_run(live, [first, second]) == [1, 1]


def is_true(live: LiveSession, query: str) -> bool:
    row = live.conn.execute(query.encode()).fetchone()
    return row is not None and bool(row[0])


def quiesced_by_run(live: LiveSession, runs: list[UUID]) -> list[int]:
    """The number of quiesced snapshots of each run."""
    rows = live.conn.execute(
        "SELECT run_id, count(*) FROM snapshots WHERE session_id = %s AND at_rest GROUP BY run_id", (live.id,)
    ).fetchall()
    counts = {row[0]: row[1] for row in rows}
    return [counts.get(run, 0) for run in runs]

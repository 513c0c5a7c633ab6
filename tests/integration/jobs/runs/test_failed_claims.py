"""A run whose start PostgreSQL cut off: its claim is given back as soon as the database takes writes again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import psycopg
import pytest

from jobs.context import TaskContext
from jobs.runs.execute import execute_run
from jobs.runs.reconcile import reclaim_failed
from tests.integration.jobs.conftest import Runs
from tests.integration.jobs.stand_in import TOKEN, Reply, Seen, StandIn

FULL = """
CREATE FUNCTION refuse_all() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE {change} EXECUTE FUNCTION refuse_all()
"""
STILL_FULL = "CREATE TRIGGER full_disk BEFORE UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION refuse_all()"
WITH_ROOM = "DROP FUNCTION refuse_all CASCADE"
WORKER = "INSERT OR UPDATE ON session_workers FOR EACH ROW"
LEASE = "UPDATE ON session_logs FOR EACH ROW WHEN (NEW.lease_expires_at IS NOT NULL)"


@pytest.fixture
def executor() -> Iterator[StandIn]:
    """It works on each run that it was given."""

    def works_on(asked: Seen) -> Reply | None:
        run_id = asked.path[-36:]
        if asked.method != "GET" or run_id not in given(stand_in):
            return None
        return Reply(200, {"runId": run_id, "attempt": 1, "claim": 1, "state": "running"})

    stand_in = StandIn(also=works_on)
    yield stand_in
    stand_in.close()


def given(executor: StandIn) -> list[str]:
    """The runs that it was given, in their order."""
    return [seen.body["runId"] for seen in executor.seen if (seen.method, seen.path) == ("POST", "/runs")]


@pytest.fixture
def context(make_context: Callable[..., TaskContext], executor: StandIn) -> TaskContext:
    """No claim expires by itself."""
    external = {"worker_host": "external", "executor_base_url": executor.url, "executor_auth_token": TOKEN}
    return make_context(**external, run_queue_lock_ms=3_600_000)


def cut_off(context: TaskContext, runs: Runs, *, change: str) -> UUID:
    """Execute a run while the disk has no room for a change of the database."""
    run = runs.start()
    runs.conn.execute(FULL.format(change=change))
    with pytest.raises(psycopg.errors.DiskFull):
        execute_run(context, run.id)
    return run.id


def state_of(runs: Runs, run_id: UUID) -> tuple[str, int, int]:
    run = runs.row(run_id)
    return run.status, run.attempt, run.claim


def test_a_run_that_a_full_disk_stopped_is_queued_again_when_there_is_room(
    context: TaskContext, runs: Runs, executor: StandIn
) -> None:
    run_id = cut_off(context, runs, change=WORKER)
    assert state_of(runs, run_id) == ("starting", 1, 1)
    runs.conn.execute(WITH_ROOM)
    reclaim_failed(context)
    assert state_of(runs, run_id) == ("queued", 1, 1)
    assert execute_run(context, run_id) == "started"
    assert given(executor) == [str(run_id)]
    assert runs.types(run_id).count("run.retrying") == 1


def test_a_claim_is_kept_in_mind_while_the_disk_stays_full(context: TaskContext, runs: Runs) -> None:
    run_id = cut_off(context, runs, change=WORKER)
    runs.conn.execute(STILL_FULL)
    for _ in range(2):
        with pytest.raises(psycopg.errors.DiskFull):
            reclaim_failed(context)
        assert state_of(runs, run_id) == ("starting", 1, 1)
    runs.conn.execute(WITH_ROOM)
    reclaim_failed(context)
    assert state_of(runs, run_id) == ("queued", 1, 1)
    assert context.claims.failed == []


def test_a_run_that_its_executor_had_taken_is_not_started_again(
    context: TaskContext, runs: Runs, executor: StandIn
) -> None:
    run_id = cut_off(context, runs, change=LEASE)
    assert runs.row(run_id).lease_expires_at is None
    runs.conn.execute(WITH_ROOM)
    reclaim_failed(context)
    assert state_of(runs, run_id) == ("starting", 1, 1)
    assert runs.row(run_id).lease_expires_at is not None
    assert given(executor) == [str(run_id)]


def test_a_run_that_another_job_has_claimed_meanwhile_is_left_to_it(context: TaskContext, runs: Runs) -> None:
    run_id = cut_off(context, runs, change=WORKER)
    runs.conn.execute(WITH_ROOM)
    runs.conn.execute("UPDATE runs SET claim = 2, attempt = 2")
    reclaim_failed(context)
    assert state_of(runs, run_id) == ("starting", 2, 2)
    assert context.claims.failed == []

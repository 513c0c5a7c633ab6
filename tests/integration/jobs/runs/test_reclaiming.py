"""A job worker's death is seen by its lock: what it had claimed goes on at once, and a living one keeps its claims."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from handlers.runs.claim import claim_run, record_dispatched
from handlers.runs.reconcile import ReconcileLimits, orphaned_runs
from handlers.workers.rows import announce_presence
from jobs.periodic import Presence
from schema.rows import RunRow
from tests.integration.jobs.conftest import JobWorker, Runs
from tests.integration.jobs.stand_in import TOKEN, Reply, StandIn
from tests.integration.jobs.waiting import wait_until

MakeWorker = Callable[..., JobWorker]
FOR_EVER = {"RUN_QUEUE_LOCK_MS": "3600000", "RUN_QUEUE_RETRY_DELAY_MS": "3600000", "RECONCILE_SECONDS": "59"}


@pytest.fixture
def mute() -> Iterator[StandIn]:
    """An executor that does not answer while the test lasts: whoever calls it stays between claim and dispatch."""
    stand_in, is_over = StandIn(), threading.Event()
    stand_in.fail(*[Reply(0, meanwhile=lambda: is_over.wait(120))] * 4)
    yield stand_in
    is_over.set()
    stand_in.close()


def beside_a_mute_executor(make: MakeWorker, mute: StandIn, owner: str) -> JobWorker:
    return make(
        **FOR_EVER,
        RUN_QUEUE_OWNER=owner,
        WORKER_HOST="external",
        EXECUTOR_BASE_URL=mute.url,
        EXECUTOR_AUTH_TOKEN=TOKEN,
        EXECUTOR_TIMEOUT_SECONDS="60",
    )


@pytest.mark.parametrize("other", ["another", "the same again"])
def test_what_a_killed_worker_had_claimed_goes_on_without_its_lock_running_out(
    runs: Runs, make_job_worker: MakeWorker, mute: StandIn, other: str
) -> None:
    first = beside_a_mute_executor(make_job_worker, mute, "one")
    run = runs.start()
    wait_until(lambda: len(mute.seen) == 1, lambda: runs.row(run.id))
    if other == "another":
        make_job_worker(RUN_QUEUE_OWNER="two", **FOR_EVER)
    first.kill()
    if other == "the same again":
        make_job_worker(RUN_QUEUE_OWNER="one", **FOR_EVER)
    ended = runs.wait_for(run.id, "succeeded", "failed")
    assert (ended.status, ended.attempt) == ("succeeded", 2)
    assert runs.types(run.id).count("run.retrying") == 1


def test_a_living_worker_keeps_its_claims(runs: Runs, make_job_worker: MakeWorker, mute: StandIn) -> None:
    first = beside_a_mute_executor(make_job_worker, mute, "one")
    held = runs.start()
    wait_until(lambda: len(mute.seen) == 1, lambda: runs.row(held.id))
    make_job_worker(RUN_QUEUE_OWNER="two", **FOR_EVER)
    for _ in range(2):  # by the second worker, since the first may take one more and no other
        runs.wait_for(runs.start().id, "succeeded", "starting")
    assert (runs.row(held.id).status, runs.row(held.id).claim) == ("starting", 1)
    first.kill()


@pytest.mark.both_postgres
def test_a_claim_is_orphaned_when_its_claimers_connection_ends(runs: Runs, database: str) -> None:
    claimer = psycopg.connect(database, autocommit=True)
    announce_presence(claimer, "one")
    run = runs.start()
    with runs.conn.transaction():
        claimed = claim_run(runs.conn, run.id, owner="one", lock_seconds=3600)
    assert claimed is not None
    assert orphaned_runs(runs.conn) == []
    claimer.close()
    wait_until(lambda: [each.id for each in orphaned_runs(runs.conn)] == [run.id], lambda: orphaned_runs(runs.conn))
    with runs.conn.transaction():
        record_dispatched(runs.conn, claimed.run, lease_seconds=60)
    assert orphaned_runs(runs.conn) == []


@pytest.mark.both_postgres
def test_a_worker_whose_lost_connection_still_held_its_lock_takes_it_when_that_ends(runs: Runs, database: str) -> None:
    half_open = psycopg.connect(database, autocommit=True)
    announce_presence(half_open, "one")
    reclaimed: list[RunRow] = []
    presence = Presence(
        database,
        claimer="one",
        limits=ReconcileLimits(lease_seconds=60),
        reclaim=reclaimed.extend,
        expire_leases=lambda _turns: None,
    )
    presence.run_once()
    run = runs.start()
    with runs.conn.transaction():
        assert claim_run(runs.conn, run.id, owner="one", lock_seconds=3600) is not None
    half_open.close()
    wait_until(lambda: orphaned_runs(runs.conn), lambda: "its lock is still held")
    presence.run_once()
    assert orphaned_runs(runs.conn) == reclaimed == []
    presence.end()

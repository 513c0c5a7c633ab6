"""What the reconciler makes of overdue runs, asking real executors; operations that it and the drain answer."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from handlers.job_requests import job_request, request_job
from handlers.runs.claim import claim_run
from handlers.runs.reconcile import part_seen
from handlers.workers.rows import announce_presence
from jobs.context import TaskContext
from jobs.perform_request import perform_request
from jobs.runs.execute import execute_run
from jobs.runs.reconcile import reconcile_runs
from jobs.runs.stop import stop_run
from schema.job_requests import DrainQueue, JobRequest, ReconcileRuns
from schema.job_results import ReconciledRun
from schema.rows import JobRequestRow
from schema.sql import jsonb
from tests.integration.jobs.conftest import Runs
from tests.integration.jobs.waiting import wait_until


@pytest.fixture(autouse=True)
def _the_control_plane_is_well(context: TaskContext, runs: Runs) -> None:
    part_seen(runs.conn, "worker", context.limits)
    runs.conn.execute("UPDATE control_plane_parts SET well_since = now() - interval '1 hour'")


def overdue(runs: Runs, run_id: UUID) -> None:
    expire = "UPDATE session_logs SET lease_expires_at = now() - interval '1 s' WHERE run_id = %s"
    runs.conn.execute(expire, (run_id,))
    runs.conn.execute(
        "UPDATE runs SET lock_expires_at = now() - interval '1 s', cancel_deadline_at = now() - interval '1 s'"
        " WHERE id = %s",
        (run_id,),
    )


def only(reasons: list[ReconciledRun]) -> str:
    assert len(reasons) == 1
    return reasons[0].action


def test_nothing_is_done_about_runs_that_are_in_time(context: TaskContext, runs: Runs) -> None:
    runs.start()
    done = reconcile_runs(context)
    assert (done.scanned, done.reasons) == (0, [])


def test_a_run_that_its_executor_works_on_is_adopted(
    make_context: Callable[..., TaskContext], runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXECUTOR_HEARTBEAT_SECONDS", "600")
    context = make_context()
    run = runs.start("sleep 100")
    execute_run(context, run.id)
    runs.wait_for(run.id, "running")

    def adopted() -> bool:
        overdue(runs, run.id)
        done = reconcile_runs(context)
        assert {reason.action for reason in done.reasons} <= {"adopted"}
        return done.adopted == 1

    wait_until(adopted, lambda: runs.row(run.id))
    assert runs.row(run.id).status == "running"
    assert reconcile_runs(context).scanned == 0


def test_a_claim_that_led_to_nothing_is_taken_back(context: TaskContext, runs: Runs) -> None:
    run = runs.start()
    context.database.transact(claim_run, run.id, owner="gone", lock_seconds=60)
    overdue(runs, run.id)
    done = reconcile_runs(context)
    assert (done.scanned, done.retried, only(done.reasons)) == (1, 1, "retried")
    assert runs.row(run.id).status == "queued"


def test_a_claim_that_led_to_nothing_at_the_last_attempt_fails(context: TaskContext, runs: Runs) -> None:
    run = runs.start(max_attempts=1)
    context.database.transact(claim_run, run.id, owner="gone", lock_seconds=60)
    overdue(runs, run.id)
    assert reconcile_runs(context).failed == 1
    assert runs.row(run.id).reason_code == "executor_lost"


def test_a_due_run_without_a_job_gets_one(context: TaskContext, runs: Runs) -> None:
    run = runs.start()
    runs.conn.execute("DELETE FROM procrastinate_jobs")
    runs.conn.execute("UPDATE runs SET next_attempt_at = now() - interval '1 minute'")
    assert only(reconcile_runs(context).reasons) == "dispatched"
    jobs = runs.conn.execute("SELECT args ->> 'run_id' FROM procrastinate_jobs").fetchall()
    assert jobs == [(str(run.id),)]


def test_a_stop_that_nobody_carried_out_ends_at_its_deadline(context: TaskContext, runs: Runs) -> None:
    run = runs.start()
    context.database.transact(claim_run, run.id, owner="gone", lock_seconds=60)
    runs.stop(run.id)
    overdue(runs, run.id)
    assert only(reconcile_runs(context).reasons) == "cancelled"
    assert runs.row(run.id).status == "cancelled"


def test_a_run_whose_folder_is_gone_is_given_up_only_when_the_control_plane_was_well(
    context: TaskContext, runs: Runs
) -> None:
    run = runs.start(max_attempts=1)
    context.database.transact(claim_run, run.id, owner="gone", lock_seconds=60)
    runs.conn.execute("UPDATE runs SET status = 'running', prompt_delivered = true")
    overdue(runs, run.id)
    runs.conn.execute("UPDATE control_plane_parts SET well_since = now()")
    assert only(reconcile_runs(context).reasons) == "waiting"
    runs.conn.execute("UPDATE control_plane_parts SET well_since = now() - interval '1 hour'")
    assert only(reconcile_runs(context).reasons) == "failed"


def test_a_stopped_run_frees_its_session_for_the_next(context: TaskContext, runs: Runs) -> None:
    first = runs.start("sleep 100")
    execute_run(context, first.id)
    runs.wait_for(first.id, "running")
    second = runs.start("say: next", session_id=first.session_id)
    runs.stop(first.id)
    stop_run(context, first.id)
    runs.wait_for(first.id, "cancelled")
    assert execute_run(context, second.id) == "started"
    runs.wait_for(second.id, "succeeded")


def asked(context: TaskContext, runs: Runs, request: JobRequest) -> JobRequestRow:
    with runs.conn.transaction():
        job_request_id = request_job(runs.conn, runs.actor, request)
    return performed(context, runs, job_request_id)


def performed(context: TaskContext, runs: Runs, job_request_id: UUID) -> JobRequestRow:
    perform_request(context, job_request_id)
    done = job_request(runs.conn, job_request_id)
    assert done is not None
    return done


def test_a_drain_counts_what_became_of_the_runs(context: TaskContext, runs: Runs) -> None:
    for prompt in ("say: one", "say: two", "error: broken"):
        runs.start(prompt, max_attempts=1)
    done = asked(context, runs, DrainQueue(limit=10, wait_seconds=30))
    assert done.result == {"claimed": 3, "started": 3, "succeeded": 2, "retried": 0, "failed": 1, "canceled": 0}


def test_a_drain_takes_no_more_than_it_is_told(context: TaskContext, runs: Runs) -> None:
    for _ in range(2):
        runs.start()
    done = asked(context, runs, DrainQueue(limit=1))
    assert done.result is not None
    assert done.result["claimed"] == 1


def test_the_reconciler_can_be_asked_for(context: TaskContext, runs: Runs) -> None:
    done = asked(context, runs, ReconcileRuns())
    assert done.result is not None
    assert done.result["scanned"] == 0
    assert done.result["reasons"] == []


@pytest.mark.parametrize(("kind", "arguments"), [("unheard_of", {}), ("drain_queue", {"limit": "many"})])
def test_an_operation_that_cannot_be_done_says_why(
    context: TaskContext, runs: Runs, kind: str, arguments: dict[str, object]
) -> None:
    [[job_request_id]] = runs.conn.execute(
        "INSERT INTO operations (kind, arguments) VALUES (%s, %s) RETURNING id", (kind, jsonb(arguments))
    ).fetchall()
    done = performed(context, runs, job_request_id)
    assert done.result is None
    assert done.error


def test_the_mark_of_a_living_worker_goes_with_its_connection(context: TaskContext) -> None:
    with context.database.dedicated() as first, context.database.dedicated() as second:
        assert announce_presence(first, "me")
        assert not announce_presence(second, "me")
        first.close()
        wait_until(lambda: announce_presence(second, "me"), lambda: "the mark is still held")


def test_readers_are_told_after_a_commit(context: TaskContext, runs: Runs) -> None:
    run = runs.start(max_attempts=1)
    context.database.transact(claim_run, run.id, owner="gone", lock_seconds=60)
    overdue(runs, run.id)
    with context.database.dedicated() as listening:
        listening.execute("LISTEN runyard_log")
        reconcile_runs(context)
        heard = next(iter(listening.notifies(timeout=5, stop_after=1)))
    assert heard.payload == f"{run.session_id}:{runs.log(run.id)[-1].seq}"

"""Runs that must be restored wait for a store that is away, use up no attempt, and go on when it is back."""

from __future__ import annotations

import pytest

from jobs.runs.execute import execute_run, start_throttled
from jobs.workers.retirement import stop_idle
from tests.integration.jobs.workers.conftest import Session
from tests.integration.jobs.workers.test_losses import retired
from tests.store_faults import HurtStore


def test_a_run_waits_for_a_store_that_is_away_and_goes_on_when_it_is_back(
    session: Session, hurt_store: HurtStore
) -> None:
    context, runs = session.context, session.runs
    session.say("write notes.txt: remember the heron")
    retired(session)
    hurt_store.is_down = True
    run = runs.start("read notes.txt", session_id=session.session_id, max_attempts=1)
    runs.conn.execute("DELETE FROM procrastinate_jobs")
    for _ in range(2):
        assert execute_run(context, run.id) == "requeued"
    waiting = runs.row(run.id)
    assert (waiting.status, waiting.held_by) == ("queued", "store")
    held = [event for event in runs.log(run.id) if event.type == "run.held"]
    assert held[0].data["message"].startswith("The workspace cannot be restored: The object store is unreachable.")
    assert not session.folder.root.exists(), "no worker was started that could not be restored"
    start_throttled(context)
    assert jobs_of_waiting(session) == 0, "it would only be held again"
    hurt_store.heal()
    context.store_condition.look_again()
    start_throttled(context)
    assert jobs_of_waiting(session) == 1
    assert execute_run(context, run.id) == "started"
    assert "heron" in session.text(runs.wait_for(run.id, "succeeded", "failed"))


def test_a_run_waits_for_a_store_that_answers_for_its_bucket_and_fails_for_objects(
    session: Session, hurt_store: HurtStore
) -> None:
    context, runs = session.context, session.runs
    session.say("write notes.txt: remember the heron")
    retired(session)
    hurt_store.fail(method="GET", times=None)
    assert context.store is not None
    fault = context.store.fault()
    assert fault is not None
    assert fault.startswith("The object store is overloaded.")
    run = runs.start("read notes.txt", session_id=session.session_id, max_attempts=1)
    assert execute_run(context, run.id) == "requeued"
    waiting = runs.row(run.id)
    assert (waiting.status, waiting.held_by) == ("queued", "store")
    assert not session.folder.root.exists(), "no worker was started that could not be restored"
    hurt_store.heal()
    context.store_condition.look_again()
    assert execute_run(context, run.id) == "started"
    assert "heron" in session.text(runs.wait_for(run.id, "succeeded", "failed"))


def test_a_run_waits_for_a_store_that_begins_to_fail_during_its_restore(
    session: Session, hurt_store: HurtStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, runs = session.context, session.runs
    session.say("write notes.txt: remember the heron")
    retired(session)
    assert context.store_condition.fault() is None
    monkeypatch.setattr("jobs.runtime.condition.FRESH_SECONDS", 600.0)  # the look of before holds for the restore
    hurt_store.fail(status=405, method="GET", times=None)
    run = runs.start("read notes.txt", session_id=session.session_id, max_attempts=1)
    assert execute_run(context, run.id) == "requeued"
    assert (runs.row(run.id).status, runs.row(run.id).held_by) == ("queued", "store")
    hurt_store.heal()
    context.store_condition.look_again()
    assert execute_run(context, run.id) == "started"
    assert "heron" in session.text(runs.wait_for(run.id, "succeeded", "failed"))


def test_a_run_whose_worker_is_there_does_not_wait_for_the_store(session: Session, hurt_store: HurtStore) -> None:
    session.say("write notes.txt: one")
    session.at_rest()
    assert stop_idle(session.context, session.id).stopped == 1
    hurt_store.is_down = True
    assert "one" in session.text(session.say("read notes.txt"))


def jobs_of_waiting(session: Session) -> int:
    """Count the queued jobs of runs that wait for the store."""
    count = session.runs.conn.execute(
        "SELECT count(*) FROM procrastinate_jobs AS job JOIN runs ON runs.id::text = job.args ->> 'run_id'"
        " WHERE job.task_name = 'execute_run' AND job.status = 'todo' AND runs.held_by = 'store'"
    ).fetchone()
    assert count is not None
    return int(count[0])

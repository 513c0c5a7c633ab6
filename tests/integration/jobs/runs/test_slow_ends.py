"""A run whose executor still keeps the end of the run before waits for it: it uses no attempt, and can be stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event
from uuid import UUID

import pytest

from handlers.runs.why import explain_run_of
from handlers.workspaces.uploads import keep_upload, uploads_to_place
from jobs.context import TaskContext
from jobs.files.uploads import place_requested_uploads
from jobs.runs.execute import execute_run
from jobs.runs.stop import stop_run
from schema.executor_api import END_BEING_KEPT
from schema.job_requests import PlaceUploads
from schema.why_api import Why
from tests.integration.jobs.conftest import Runs
from tests.integration.jobs.stand_in import TOKEN, Reply, StandIn

NOT_YET = Reply(503, {"code": END_BEING_KEPT, "detail": "Ask again."})


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    stand_in = StandIn()
    yield stand_in
    stand_in.close()


@pytest.fixture
def context(make_context: Callable[..., TaskContext], stand_in: StandIn) -> TaskContext:
    external = {"worker_host": "external", "executor_base_url": stand_in.url, "executor_auth_token": TOKEN}
    return make_context(**external, executor_max_retries=1)


def test_a_run_waits_until_the_end_before_is_kept_and_uses_no_attempt(
    context: TaskContext, runs: Runs, stand_in: StandIn
) -> None:
    run = runs.start(max_attempts=1)
    told: list[Why] = []
    stand_in.fail(NOT_YET, replace(NOT_YET, meanwhile=lambda: told.append(explain_run_of(runs.conn, run.id))), NOT_YET)
    assert execute_run(context, run.id) == "started"
    assert [call.path for call in stand_in.seen] == ["/runs"] * 4
    assert {call.body["attempt"] for call in stand_in.seen} == {1}
    assert [why.code for why in told] == ["end_being_kept"]
    assert "as the run before left them" in told[0].reason
    assert runs.types(run.id) == ["run.queued", "run.held"]
    held = runs.log(run.id)[-1].data
    assert (held["heldBy"], held["status"]) == ("run_end", "starting")
    assert explain_run_of(runs.conn, run.id).code == "agent_starts"


def test_a_run_that_waits_for_the_end_before_can_be_stopped(
    context: TaskContext, runs: Runs, stand_in: StandIn
) -> None:
    run = runs.start()
    stand_in.fail(NOT_YET, replace(NOT_YET, meanwhile=lambda: runs.stop(run.id)), *[NOT_YET] * 100)
    assert execute_run(context, run.id) == "superseded"
    assert len(stand_in.seen) == 2
    stand_in.forgive()
    stop_run(context, run.id)
    assert runs.row(run.id).status == "cancelled"


def test_a_job_worker_that_ends_gives_the_waiting_run_back_with_its_attempt(
    context: TaskContext, runs: Runs, stand_in: StandIn
) -> None:
    run = runs.start(max_attempts=1)
    ending = replace(context, closing=Event())
    stand_in.fail(replace(NOT_YET, meanwhile=ending.closing.set))
    assert execute_run(ending, run.id) == "requeued"
    assert runs.row(run.id).status == "queued"
    assert runs.log(run.id)[-1].data["attemptGivenBack"] is True
    stand_in.fail(Reply(503), Reply(503))
    assert execute_run(context, run.id) == "requeued"
    assert runs.row(run.id).status == "failed", "its one attempt is used up by now"


def test_an_upload_between_runs_waits_until_the_end_before_is_kept(
    context: TaskContext, runs: Runs, stand_in: StandIn
) -> None:
    session_id = session_at_work(context, runs)
    upload = keep_upload(runs.conn, runs.actor, session_id, name="a.json", mime_type="text/plain", content=b"{}")
    stand_in.fail(NOT_YET, NOT_YET)
    placed = place_requested_uploads(context, PlaceUploads(session_id=session_id))
    assert placed.paths == [upload.path]
    assert [call.method for call in stand_in.seen[-3:]] == ["PUT"] * 3
    assert uploads_to_place(runs.conn, session_id, epoch=1) == []


def session_at_work(context: TaskContext, runs: Runs) -> UUID:
    """A session whose executor has a run."""
    run = runs.start()
    assert execute_run(context, run.id) == "started"
    return run.session_id

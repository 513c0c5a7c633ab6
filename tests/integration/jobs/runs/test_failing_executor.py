"""Runs whose executor cannot be reached, is busy, or refuses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from handlers.apps.apps import AppSettings, set_app
from handlers.callbacks.receive import receive_callback
from handlers.human_loop.reply import HumanReply as Answered
from handlers.human_loop.reply import reply
from jobs.context import TaskContext
from jobs.hosts.external import ExternalHost
from jobs.human_loop.deliver import deliver_answer
from jobs.runs.execute import execute_run
from jobs.runs.stop import stop_run
from jobs.runtime.executor_client import Endpoint, ExecutorError
from jobs.workers.retirement import look_after_workers
from schema.events import SourceEvent
from schema.executor_api import CallbackBody
from schema.logs import CONTEXT_KEYS, trace_id
from schema.rows import HumanRequestRow, RunRow
from schema.sql import fetch_the
from schema.wire import Json
from tests.integration.jobs.callbacks import POLICY
from tests.integration.jobs.conftest import STOP, Runs
from tests.integration.jobs.stand_in import TOKEN, Reply, StandIn

PERMISSION = [
    {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
    {"optionId": "no", "name": "Reject", "kind": "reject_once"},
]


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    stand_in = StandIn()
    yield stand_in
    stand_in.close()


@pytest.fixture
def context(make_context: Callable[..., TaskContext], stand_in: StandIn) -> TaskContext:
    external = {"worker_host": "external", "executor_base_url": stand_in.url, "executor_auth_token": TOKEN}
    return make_context(**external, executor_max_retries=1)


def test_an_executor_has_the_run_with_all_that_it_needs(context: TaskContext, runs: Runs, stand_in: StandIn) -> None:
    run = runs.start("do it")
    assert execute_run(context, run.id) == "started"
    call = stand_in.seen[-1]
    assert (call.method, call.path) == ("POST", "/runs")
    assert call.body["prompt"] == "do it"
    assert (call.body["attempt"], call.body["claim"], call.body["epoch"]) == (1, 1, 1)
    assert call.body["callback"]["url"].endswith(f"/api/runs/{run.id}/callbacks")
    assert call.body["callback"]["key"].startswith("whsec_")
    assert call.body["traceparent"] == run.traceparent


@pytest.mark.parametrize("at_start", [True, False])
def test_a_queued_run_is_trusted_only_while_its_app_trusts_workspaces(
    context: TaskContext, runs: Runs, stand_in: StandIn, *, at_start: bool
) -> None:
    trust(runs, is_trusted=True)
    run = runs.start("do it")
    trust(runs, is_trusted=at_start)

    assert execute_run(context, run.id) == "started"

    assert stand_in.seen[-1].body["options"].get("trustWorkspace", False) is at_start


def test_an_app_that_trusts_workspaces_later_does_not_free_queued_runs(
    context: TaskContext, runs: Runs, stand_in: StandIn
) -> None:
    run = runs.start("do it")
    trust(runs, is_trusted=True)

    assert execute_run(context, run.id) == "started"

    assert stand_in.seen[-1].body["options"].get("trustWorkspace", False) is False


def trust(runs: Runs, *, is_trusted: bool) -> None:
    with runs.conn.transaction():
        set_app(runs.conn, "default", settings=AppSettings(options={"trustWorkspace": is_trusted}))


def test_executors_of_others_are_never_due_for_anything(context: TaskContext, runs: Runs, stand_in: StandIn) -> None:
    """Nor asked: with many sessions that would cost the job worker seconds, again and again."""
    for _ in range(3):
        assert execute_run(context, runs.start().id) == "started"
    before = len(stand_in.seen)
    assert look_after_workers(context) == []
    assert len(stand_in.seen) == before


def test_an_unreachable_executor_costs_an_attempt_until_none_is_left(
    context: TaskContext, runs: Runs, stand_in: StandIn
) -> None:
    run = runs.start(max_attempts=2)
    stand_in.fail(*[Reply(503)] * 4)
    assert execute_run(context, run.id) == "requeued"
    assert (runs.row(run.id).status, runs.row(run.id).attempt) == ("queued", 1)
    assert execute_run(context, run.id) == "requeued"
    failed = runs.row(run.id)
    assert (failed.status, failed.reason_code) == ("failed", "executor_unreachable")
    assert "All 2 attempts" in (failed.reason_message or "")
    assert runs.types(run.id) == ["run.queued", "run.retrying", "run.finished"]


def test_a_refusal_fails_the_run_at_once(context: TaskContext, runs: Runs, stand_in: StandIn) -> None:
    run = runs.start()
    stand_in.fail(Reply(422, {"code": "invalid", "detail": "prompt: too odd"}))
    assert execute_run(context, run.id) == "ended"
    failed = runs.row(run.id)
    assert (failed.status, failed.reason_code) == ("failed", "executor_refused")
    assert "prompt: too odd" in (failed.reason_message or "")


def test_an_executor_is_asked_for_its_workspace_only_where_the_app_wants_something(
    context: TaskContext, runs: Runs, stand_in: StandIn
) -> None:
    assert execute_run(context, runs.start().id) == "started"
    assert [seen.path for seen in stand_in.seen] == ["/runs"]


def test_a_run_of_a_newer_claim_is_left_alone(context: TaskContext, runs: Runs, stand_in: StandIn) -> None:
    run = runs.start()
    stand_in.fail(Reply(409, {"code": "stale_claim", "detail": "Another job has claimed this run since."}))
    assert execute_run(context, run.id) == "left"
    assert runs.row(run.id).status == "starting"


def test_a_busy_executor_is_waited_for(context: TaskContext, runs: Runs, stand_in: StandIn) -> None:
    run = runs.start()
    stand_in.fail(*[Reply(409, {"code": "busy"})] * 3)
    assert execute_run(context, run.id) == "started"


def test_a_run_that_was_stopped_while_its_worker_started_is_given_to_no_executor(
    context: TaskContext, runs: Runs, stand_in: StandIn
) -> None:
    run = runs.start()

    @dataclass(frozen=True)
    class Slow(ExternalHost):
        def ensure_started(self, session_id: UUID, epoch: int) -> Endpoint:
            runs.stop(run.id)
            return super().ensure_started(session_id, epoch)

    slow = replace(context, host=Slow(Endpoint(stand_in.url, TOKEN), context.executors))
    assert execute_run(slow, run.id) == "superseded"
    assert stand_in.seen == []


def test_a_run_that_is_not_queued_is_not_taken(context: TaskContext, runs: Runs, stand_in: StandIn) -> None:
    run = runs.start()
    assert execute_run(context, run.id) == "started"
    seen = len(stand_in.seen)
    assert execute_run(context, run.id) == "nothing_to_do"
    assert len(stand_in.seen) == seen


def test_every_line_about_a_run_names_the_executor_that_it_is_about(
    context: TaskContext, runs: Runs, stand_in: StandIn
) -> None:
    run = runs.start()
    stand_in.fail(Reply(503), Reply(503))
    with capture_logs(processors=[merge_contextvars]) as lines:
        execute_run(context, run.id)
        execute_run(context, run.id)
        runs.stop(run.id)
        stand_in.fail(Reply(503), Reply(503))
        stop_run(context, run.id)
    assert {"run.requeued", "run.job_ended", "run.stop_untold"} <= {line["event"] for line in lines}
    ids = {
        "traceId": trace_id(run.traceparent),
        "sessionId": str(run.session_id),
        "runId": str(run.id),
        "executorId": f"{run.session_id}:1",
    }
    assert [{key: line.get(key) for key in CONTEXT_KEYS} for line in lines] == [ids] * len(lines)


def test_a_stop_that_no_executor_knows_settles_the_run(context: TaskContext, runs: Runs, stand_in: StandIn) -> None:
    run = runs.start()
    execute_run(context, run.id)
    runs.stop(run.id)
    stop_run(context, run.id)
    assert stand_in.seen[-1].path == f"/runs/{run.id}?claim=2"
    assert runs.row(run.id).status == "cancelled"


def test_a_stop_that_cannot_be_told_is_left_to_the_deadline(
    context: TaskContext, runs: Runs, stand_in: StandIn
) -> None:
    run = runs.start()
    execute_run(context, run.id)
    runs.stop(run.id)
    stand_in.fail(Reply(503), Reply(503))
    stop_run(context, run.id)
    assert runs.row(run.id).status == "cancelling"


def test_a_stop_while_the_run_is_handed_over_reaches_the_executor(
    context: TaskContext, runs: Runs, stand_in: StandIn
) -> None:
    run = runs.start()
    taken = {"runId": str(run.id), "attempt": 1, "claim": 1, "state": "starting"}
    stand_in.fail(Reply(202, taken, meanwhile=lambda: runs.stop(run.id)))
    assert execute_run(context, run.id) == "superseded"
    assert [call.method for call in stand_in.seen[-2:]] == ["POST", "DELETE"]
    assert stand_in.seen[-1].path == f"/runs/{run.id}?claim=1"


def answered_request(context: TaskContext, runs: Runs) -> tuple[RunRow, UUID]:
    """A run that waits, and the request that was answered since."""
    run = runs.start()
    execute_run(context, run.id)
    request_id = uuid4()
    asked = {"requestId": str(request_id), "kind": "permission", "title": "May I?", "fingerprint": "f"}
    say(runs, run.id, ("run.started", {"provider": "demo"}), ("human_loop.requested", {**asked, "options": PERMISSION}))
    with runs.conn.transaction():
        given = Answered(request_id=request_id, decision="allow")
        reply(runs.conn, runs.actor, given, stop_policy=STOP)
    return runs.row(run.id), request_id


def say(runs: Runs, run_id: UUID, *said: tuple[str, Json]) -> None:
    events = [
        SourceEvent(id=uuid4(), n=n, type=type_, at=datetime.now(UTC), data=data)
        for n, (type_, data) in enumerate(said, start=1)
    ]
    with runs.conn.transaction():
        receive_callback(runs.conn, run_id, CallbackBody(epoch=1, attempt=1, events=events), policy=POLICY)


def status_of(runs: Runs, request_id: UUID) -> str:
    return fetch_the(runs.conn, "human_request", HumanRequestRow, request_id=request_id).status


def test_an_answer_reaches_the_agent_that_asked(context: TaskContext, runs: Runs, stand_in: StandIn) -> None:
    run, request_id = answered_request(context, runs)
    deliver_answer(context, request_id)
    call = stand_in.seen[-1]
    assert call.path == f"/runs/{run.id}/human-loop/{request_id}"
    assert call.body["decision"] == "allow"
    assert status_of(runs, request_id) == "delivering"


def test_an_answer_that_nobody_waits_for_is_void(context: TaskContext, runs: Runs, stand_in: StandIn) -> None:
    run, request_id = answered_request(context, runs)
    stand_in.fail(Reply(404, {"code": "request_unknown"}))
    deliver_answer(context, request_id)
    assert status_of(runs, request_id) == "void"
    assert runs.types(run.id)[-1] == "human_loop.applied"


def test_an_answer_that_cannot_be_delivered_is_kept_for_later(
    context: TaskContext, runs: Runs, stand_in: StandIn
) -> None:
    _, request_id = answered_request(context, runs)
    stand_in.fail(Reply(503), Reply(503))
    with pytest.raises(ExecutorError):
        deliver_answer(context, request_id)
    assert status_of(runs, request_id) == "delivering"
    deliver_answer(context, request_id)
    assert stand_in.seen[-1].body["decision"] == "allow"


def test_an_executor_that_asks_for_a_long_pause_gets_it(context: TaskContext, runs: Runs, stand_in: StandIn) -> None:
    run = runs.start()
    stand_in.fail(Reply(429, headers={"retry-after": "600"}))
    assert execute_run(context, run.id) == "requeued"
    pause = "SELECT next_attempt_at - now() BETWEEN interval '9 minutes' AND interval '10 minutes' FROM runs"
    assert runs.conn.execute(pause).fetchone() == (True,)

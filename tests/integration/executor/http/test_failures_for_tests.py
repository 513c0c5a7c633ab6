"""Calls that fail as told, seen by the real client: retried, kept as failures, refused, and never in production."""

from __future__ import annotations

import json
from collections.abc import Callable
from uuid import uuid4

import pytest

from jobs.runtime.executor_client import Endpoint, ExecutorClient, ExecutorError, RetryRules
from jobs.runtime.trace import Trace
from schema.executor_api import ValidateWorkspace
from tests.integration.executor.conftest import TOKEN, Worker

PATH = "/workspace/validate"
RULES = RetryRules(attempts=3, delay_seconds=0.01)
MakeWorker = Callable[..., Worker]


def validate(worker: Worker) -> bool:
    worker.start()
    client = ExecutorClient(RULES, timeout_seconds=10)
    trace = Trace(session_id=worker.session_id, epoch=3, run_id=uuid4(), traceparent=None)
    try:
        return client.validate(Endpoint(str(worker.client.base_url), TOKEN), ValidateWorkspace(), trace).ok
    finally:
        client.close()


def calls(worker: Worker) -> list[tuple[int, str]]:
    """What the executor has recorded of that path: statuses, and the operation that their trace names."""
    items = worker.client.get("/events").json()["items"]
    return [(each["status"], each["trace"]["x-trace-operation"]) for each in items if each["path"] == PATH]


def told(**failure: object) -> dict[str, str]:
    return {"EXECUTOR_FAIL_FOR_TESTS": json.dumps({PATH: failure})}


def test_a_call_that_fails_twice_succeeds_at_the_third(make_worker: MakeWorker) -> None:
    worker = make_worker(**told(times=2, status=503))
    assert validate(worker)
    assert calls(worker) == [(503, "workspace.validate")] * 2 + [(200, "workspace.validate")]


def test_a_call_that_goes_on_failing_is_kept_as_a_failure(make_worker: MakeWorker) -> None:
    worker = make_worker(**told(times=9, status=500, body={"code": "broken", "detail": "It is broken."}))
    with pytest.raises(ExecutorError) as caught:
        validate(worker)
    error = caught.value
    assert (error.kind, error.path, error.attempt, error.attempts_allowed) == ("http", PATH, 3, 3)
    assert (error.status, error.problem) == (500, "broken")


def test_a_refusal_is_not_repeated(make_worker: MakeWorker) -> None:
    worker = make_worker(**told(times=9, status=422))
    with pytest.raises(ExecutorError):
        validate(worker)
    assert calls(worker) == [(422, "workspace.validate")]


def test_a_busy_answer_is_repeated_after_the_pause_that_it_names(make_worker: MakeWorker) -> None:
    worker = make_worker(**told(times=1, status=429, headers={"retry-after": "0"}))
    assert validate(worker)
    assert [status for status, _ in calls(worker)] == [429, 200]


def test_nobody_else_may_have_calls_fail(make_worker: MakeWorker) -> None:
    worker = make_worker("executor")
    process = worker.spawn(**told(times=1, status=500), PYTEST_VERSION="")
    assert process.wait(30) == 2
    assert "works only in this project's tests" in worker.log.read_text()

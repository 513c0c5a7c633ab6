"""Calls to an executor that fails: what is tried again, how often, and what is said in the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import uuid4

import pytest

from jobs.runtime.executor_client import Call, Endpoint, ExecutorClient, ExecutorError, RetryRules
from jobs.runtime.trace import Trace
from schema.executor_api import TRACE_HEADERS, ValidateWorkspace
from tests.integration.jobs.stand_in import TOKEN, Reply, StandIn

RULES = RetryRules(attempts=4, delay_seconds=0.01)
TRACE = Trace(
    session_id=uuid4(), epoch=2, run_id=uuid4(), traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    stand_in = StandIn()
    yield stand_in
    stand_in.close()


@pytest.fixture
def client() -> Iterator[ExecutorClient]:
    client = ExecutorClient(RULES, timeout_seconds=0.3)
    yield client
    client.close()


def validate(client: ExecutorClient, stand_in: StandIn) -> None:
    client.validate(Endpoint(stand_in.url, TOKEN), ValidateWorkspace(), TRACE)


@pytest.mark.parametrize("reply", [Reply(500), Reply(502), Reply(503), Reply(504), Reply(0), Reply(200, seconds=0.5)])
def test_what_may_pass_is_tried_again(client: ExecutorClient, stand_in: StandIn, reply: Reply) -> None:
    stand_in.fail(reply, reply)
    validate(client, stand_in)
    assert len(stand_in.seen) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 501, 505])
def test_what_would_be_refused_again_is_not_tried_again(client: ExecutorClient, stand_in: StandIn, status: int) -> None:
    stand_in.fail(Reply(status, {"code": "some_code", "detail": "Some sentence."}))
    with pytest.raises(ExecutorError, match="Some sentence") as caught:
        validate(client, stand_in)
    error = caught.value
    assert len(stand_in.seen) == 1
    assert (error.kind, error.status, error.problem, error.attempt) == ("http", status, "some_code", 1)
    assert error.is_refusal == (status < 500)


@pytest.mark.parametrize(
    ("reply", "kind", "status"),
    [(Reply(503), "http", 503), (Reply(0), "network", None), (Reply(200, seconds=0.5), "timeout", None)],
)
def test_the_error_says_what_was_tried(
    client: ExecutorClient, stand_in: StandIn, reply: Reply, kind: str, status: int | None
) -> None:
    stand_in.fail(*[reply] * 4)
    with pytest.raises(ExecutorError) as caught:
        validate(client, stand_in)
    error = caught.value
    assert (error.kind, error.status, error.path) == (kind, status, "/workspace/validate")
    assert (error.attempt, error.attempts_allowed, len(stand_in.seen)) == (4, 4, 4)
    assert not error.is_refusal


def test_an_executor_that_is_not_there_is_a_network_error(client: ExecutorClient, stand_in: StandIn) -> None:
    url = stand_in.url
    stand_in.close()
    with pytest.raises(ExecutorError) as caught:
        client.health(url)
    assert (caught.value.kind, caught.value.attempts_allowed) == ("network", 1)


def test_pauses_grow_by_the_same_step(stand_in: StandIn) -> None:
    client = ExecutorClient(RetryRules(attempts=3, delay_seconds=0.2), timeout_seconds=1)
    stand_in.fail(Reply(503), Reply(503))
    began = time.monotonic()
    validate(client, stand_in)
    client.close()
    assert 0.6 <= time.monotonic() - began < 0.9


@pytest.mark.parametrize("as_date", [False, True])
def test_too_many_requests_waits_as_long_as_it_is_told(
    client: ExecutorClient, stand_in: StandIn, *, as_date: bool
) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    stand_in.fail(Reply(429, headers={"retry-after": format_datetime(at) if as_date else "1"}))
    began = time.monotonic()
    validate(client, stand_in)
    assert time.monotonic() - began >= 0.9
    assert len(stand_in.seen) == 2


def test_too_many_requests_for_too_long_is_given_up(client: ExecutorClient, stand_in: StandIn) -> None:
    stand_in.fail(Reply(429, headers={"retry-after": "3600"}))
    with pytest.raises(ExecutorError) as caught:
        validate(client, stand_in)
    assert (caught.value.status, caught.value.retry_after, len(stand_in.seen)) == (429, 3600, 1)
    assert not caught.value.is_refusal


def test_every_call_carries_the_trace_and_the_token(client: ExecutorClient, stand_in: StandIn) -> None:
    validate(client, stand_in)
    headers = stand_in.seen[0].headers
    assert {name: headers[name] for name in TRACE_HEADERS} == {
        "x-trace-id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "x-trace-session-id": str(TRACE.session_id),
        "x-trace-run-id": str(TRACE.run_id),
        "x-trace-executor-id": f"{TRACE.session_id}:2",
        "x-trace-operation": "workspace.validate",
    }
    assert headers["authorization"] == f"Bearer {TOKEN}"


def test_the_token_is_in_no_error_and_no_log(
    client: ExecutorClient, stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint = Endpoint(stand_in.url, TOKEN)
    stand_in.fail(Reply(503), Reply(401))
    with pytest.raises(ExecutorError) as caught:
        validate(client, stand_in)
    said = f"{caught.value!r} {vars(caught.value)} {endpoint!r} {caplog.text}"
    assert TOKEN not in said


def test_an_answer_that_is_not_of_the_contract_is_an_error(client: ExecutorClient, stand_in: StandIn) -> None:
    stand_in.fail(Reply(200, {"hello": "proxy"}))
    with pytest.raises(ExecutorError, match="breaks the contract"):
        validate(client, stand_in)


def test_executors_are_reached_without_the_proxy_that_is_meant_for_agents(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    client = ExecutorClient(RULES, timeout_seconds=0.3)
    validate(client, stand_in)
    client.close()
    assert len(stand_in.seen) == 1


def test_a_call_does_not_show_the_token() -> None:
    assert TOKEN not in repr(Call("GET", "http://127.0.0.1/health", {"authorization": f"Bearer {TOKEN}"}))

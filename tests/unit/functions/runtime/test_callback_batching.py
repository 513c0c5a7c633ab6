"""Calls that arrive together are written together; one that is alone is written at once; none waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest

from functions.runtime import callback_batching as module
from functions.runtime.callback_batching import CallbackBatcher
from handlers.callbacks.append_only import AppendOnlyCall
from schema.errors import Unavailable
from schema.executor_api import CallbackAnswer, CallbackBody
from tests.acceptance.waiting import wait_until

Outcome = Future[CallbackAnswer | None]
HEARTBEAT = CallbackBody(epoch=1, attempt=1)


def call(run_id: UUID | None = None) -> AppendOnlyCall:
    return AppendOnlyCall(run_id or uuid4(), HEARTBEAT, 1)


class Writing:
    """A `write` that goes on when it is let; `groups` are what it was given."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.groups: list[list[AppendOnlyCall]] = []
        self.failure = failure
        self.let = threading.Semaphore(0)

    def __call__(self, calls: Sequence[AppendOnlyCall]) -> dict[UUID, CallbackAnswer]:
        self.groups.append(list(calls))
        assert self.let.acquire(timeout=10)
        if self.failure is not None:
            raise self.failure
        return {each.run_id: CallbackAnswer(accepted=0, duplicates=0, last_seq=len(calls)) for each in calls}


@contextmanager
def arrived(
    intake: CallbackBatcher, writing: Writing, calls: Sequence[AppendOnlyCall]
) -> Iterator[list[Future[CallbackAnswer | None]]]:
    """The first is being written, the others have come meanwhile."""
    with ThreadPoolExecutor(len(calls)) as pool:
        outcomes = [pool.submit(intake.receive, calls[0])]
        wait_until(lambda: bool(writing.groups), seconds=10, what="nothing is written")
        for n, each in enumerate(calls[1:], start=1):
            outcomes.append(pool.submit(intake.receive, each))
            wait_until(lambda n=n: len(intake._waiting) == n, seconds=10, what="it does not wait")  # type: ignore[misc]
        yield outcomes
        for _ in calls:
            writing.let.release()


def test_one_that_is_alone_is_written_at_once() -> None:
    writing = Writing()
    writing.let.release()
    assert CallbackBatcher(writing).receive(call()) == CallbackAnswer(accepted=0, duplicates=0, last_seq=1)


def test_what_came_meanwhile_is_written_together() -> None:
    writing = Writing()
    with arrived(CallbackBatcher(writing), writing, [call() for _ in range(6)]) as outcomes:
        pass
    assert [len(group) for group in writing.groups] == [1, 5]
    assert [answer.last_seq for each in outcomes if (answer := each.result())] == [1, 5, 5, 5, 5, 5]


def test_two_calls_of_one_run_are_never_in_one_group() -> None:
    writing, run_id = Writing(), uuid4()
    with arrived(CallbackBatcher(writing), writing, [call(), call(run_id), call(run_id), call()]):
        pass
    assert [len(group) for group in writing.groups] == [1, 2, 1]


def test_when_the_database_is_away_each_is_told() -> None:
    writing = Writing(psycopg.OperationalError("away"))
    with arrived(CallbackBatcher(writing), writing, [call(), call(), call()]) as outcomes:
        pass
    for each in outcomes:
        with pytest.raises(psycopg.OperationalError):
            each.result()


@pytest.mark.parametrize("refusal", [psycopg.DataError, psycopg.errors.ProgramLimitExceeded])
def test_a_group_that_is_refused_is_dealt_with_one_by_one(refusal: type[psycopg.Error]) -> None:
    writing = Writing(refusal("something of somebody's"))
    with arrived(CallbackBatcher(writing), writing, [call(), call(), call()]) as outcomes:
        pass
    assert [each.result() for each in outcomes] == [None, None, None]


def test_more_than_may_wait_are_sent_away() -> None:
    writing = Writing()
    intake = CallbackBatcher(writing, most_waiting=2)
    with arrived(intake, writing, [call(), call(), call()]), pytest.raises(Unavailable):
        intake.receive(call())


def test_nobody_waits_longer_than_his_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.1)
    writing = Writing()
    intake = CallbackBatcher(writing)
    with arrived(intake, writing, [call(), call()]) as outcomes:
        with pytest.raises(Unavailable):
            outcomes[1].result(10)
        assert not intake._waiting

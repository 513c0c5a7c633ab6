"""Each answer to a callback means one thing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from executor.runs.replies import (
    Accepted,
    EventsRefused,
    ResumeFrom,
    RetryLater,
    TakenOver,
    read_reply,
)
from schema.retry_after import LONGEST_RETRY_AFTER


def reply(status: int, body: object = None, **headers: str) -> object:
    return read_reply(status, headers, json.dumps(body).encode())


def test_an_acknowledgement_may_carry_a_stop() -> None:
    counts = {"accepted": 1, "duplicates": 0, "lastSeq": 7}
    assert reply(200, counts) == Accepted(stop_requested=False)
    assert reply(200, {**counts, "stopRequested": True}) == Accepted(stop_requested=True)


@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"", b"{}", b"[" * 100_000])
def test_a_page_of_somebody_else_acknowledges_nothing(body: bytes) -> None:
    assert isinstance(read_reply(200, {}, body), RetryLater)


def test_a_gap_names_where_to_go_on() -> None:
    assert reply(409, {"code": "gap", "expected": 4}) == ResumeFrom(4)


@pytest.mark.parametrize("code", ["stale_epoch", "stale_attempt"])
def test_a_stale_epoch_or_attempt_is_taken_over(code: str) -> None:
    assert isinstance(reply(409, {"code": code}), TakenOver)


@pytest.mark.parametrize("status, body", [(409, {"code": "n_conflict"}), (409, None), (400, {}), (413, {}), (422, {})])
def test_what_will_never_be_taken_is_refused(status: int, body: object) -> None:
    assert isinstance(reply(status, body), EventsRefused)


@pytest.mark.parametrize("status", [301, 401, 403, 404, 408, 429, 500, 502, 503])
def test_all_else_may_get_better(status: int) -> None:
    assert isinstance(reply(status, {"code": "whatever"}), RetryLater)


def test_the_reason_is_in_the_control_planes_words() -> None:
    refused = reply(422, {"code": "author", "detail": "Not yours to say."})
    assert refused == EventsRefused("The control plane answered 422 author: Not yours to say.")


@pytest.mark.parametrize("value, seconds", [("7", 7.0), ("0", 0.0), ("86400", LONGEST_RETRY_AFTER)])
def test_retry_after_is_in_seconds_up_to_a_limit(value: str, seconds: float) -> None:
    assert reply(503, None, **{"retry-after": value}) == RetryLater("The control plane answered 503.", after=seconds)


def test_retry_after_may_be_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    answer = read_reply(429, {"retry-after": date}, b"")
    assert isinstance(answer, RetryLater)
    assert answer.after is not None
    assert 25 <= answer.after <= 30


@pytest.mark.parametrize("value", ["soon", "-1", ""])
def test_a_retry_after_that_says_nothing_is_passed_over(value: str) -> None:
    assert reply(503, None, **{"retry-after": value}) == RetryLater("The control plane answered 503.", after=None)

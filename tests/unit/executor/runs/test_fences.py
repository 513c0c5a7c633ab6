"""The fences of a start, one by one."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from executor.runs.fences import Busy, is_known_start
from executor.runs.spool import SpooledRun
from schema.errors import Conflict, StaleAttempt, StaleClaim, StaleEpoch, WrongSession
from schema.executor_api import Callback, StartRun

SESSION, RUN = uuid4(), uuid4()
START = StartRun(
    run_id=RUN,
    session_id=SESSION,
    attempt=2,
    claim=5,
    epoch=3,
    provider="demo",
    prompt="Hello",
    callback=Callback(url="http://127.0.0.1/", key="whsec_"),
)
KNOWN = SpooledRun(
    run_id=RUN,
    attempt=2,
    claim=5,
    refused_claim=0,
    epoch=3,
    state="running",
    callback_url="",
    callback_key="",
    traceparent=None,
    prompt_delivered=True,
    last_n=1,
    acked_n=1,
    reason=None,
    parked=False,
)


def is_known(known: SpooledRun | None, *, epoch: int = 3, session_id: UUID = SESSION, live: UUID | None = None) -> bool:
    return is_known_start(START, known, session_id=session_id, epoch=epoch, live_run_id=live)


def test_a_new_run_begins() -> None:
    assert not is_known(None)


def test_the_same_attempt_is_known_also_under_a_later_claim() -> None:
    assert is_known(KNOWN, live=RUN)
    assert is_known(replace(KNOWN, claim=4))


def test_a_later_attempt_begins_even_beside_the_older_one() -> None:
    assert not is_known(replace(KNOWN, attempt=1), live=RUN)


@pytest.mark.parametrize(
    "known, error",
    [
        (replace(KNOWN, claim=6), StaleClaim),
        (replace(KNOWN, attempt=1, claim=6), StaleClaim),
        (replace(KNOWN, attempt=0, claim=0, refused_claim=5, state="refused"), StaleClaim),
        (replace(KNOWN, attempt=3), StaleAttempt),
    ],
)
def test_what_is_older_than_what_is_known_is_refused(known: SpooledRun, error: type[Conflict]) -> None:
    with pytest.raises(error):
        is_known(known)


def test_a_claim_above_the_stopped_one_begins() -> None:
    assert not is_known(replace(KNOWN, attempt=0, claim=0, refused_claim=4, state="refused"))


def test_an_older_epoch_is_refused() -> None:
    with pytest.raises(StaleEpoch):
        is_known(None, epoch=4)


def test_another_session_is_refused() -> None:
    with pytest.raises(WrongSession):
        is_known(None, session_id=uuid4())


def test_another_live_run_is_in_the_way() -> None:
    with pytest.raises(Busy):
        is_known(None, live=uuid4())

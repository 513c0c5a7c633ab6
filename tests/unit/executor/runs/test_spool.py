"""The spool on a real disk: numbers without holes, and nothing forgotten."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from executor.runs.coalescing import Draft
from executor.runs.spool import Spool
from schema.events import HumanRequested, RunFinished, RunWarning
from schema.executor_api import Answer, Callback, StartRun

RUN = uuid4()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool.sqlite3")
    yield spool
    spool.close()


def start(attempt: int = 1, *, run_id: UUID = RUN) -> StartRun:
    callback = Callback(url="http://127.0.0.1/callbacks", key="whsec_key")
    return StartRun(
        run_id=run_id,
        session_id=uuid4(),
        attempt=attempt,
        claim=attempt,
        epoch=1,
        provider="demo",
        prompt="Hello",
        callback=callback,
    )


def warning(text: str = ".") -> Draft:
    return Draft("run.warning", RunWarning(code="test", message=text))


def finish(spool: Spool) -> None:
    spool.append(RUN, [Draft("run.finished", RunFinished(status="succeeded"))])


def numbers(spool: Spool, *, most: int = 500, most_bytes: int = 512 * 1024) -> list[int]:
    return [event.n for event in spool.unacknowledged(RUN, most=most, most_bytes=most_bytes)]


def test_events_are_numbered_from_one_without_holes(spool: Spool) -> None:
    spool.begin_attempt(start(), refused_claim=0)
    assert spool.append(RUN, [warning(), warning()]) == [1, 2]
    assert spool.append(RUN, [warning()]) == [3]
    assert numbers(spool) == [1, 2, 3]


def test_a_new_attempt_counts_from_one_again_and_drops_the_old(spool: Spool) -> None:
    spool.begin_attempt(start(), refused_claim=0)
    spool.append(RUN, [warning("old")])
    spool.begin_attempt(start(2), refused_claim=0)
    assert spool.append(RUN, [warning("new")]) == [1]
    assert [event.data for event in spool.unacknowledged(RUN, most=9, most_bytes=999)] == [
        '{"code":"test","message":"new"}'
    ]


def test_what_fails_half_way_leaves_nothing(spool: Spool) -> None:
    spool.begin_attempt(start(), refused_claim=0)
    request = Draft(
        "human_loop.requested", HumanRequested(request_id=uuid4(), kind="question", title="?", fingerprint="f")
    )
    with pytest.raises(sqlite3.IntegrityError):
        spool.append(RUN, [warning(), request, request])
    assert numbers(spool) == []
    assert spool.append(RUN, [warning()]) == [1]


def test_what_is_acknowledged_is_not_sent_again(spool: Spool) -> None:
    spool.begin_attempt(start(), refused_claim=0)
    spool.append(RUN, [warning(), warning(), warning()])
    spool.acknowledge(RUN, 2)
    assert numbers(spool) == [3]
    assert spool.undelivered() == 1


def test_a_batch_is_cut_by_count_and_by_size_but_never_empty(spool: Spool) -> None:
    spool.begin_attempt(start(), refused_claim=0)
    spool.append(RUN, [warning("x" * 900), warning(), warning()])
    assert numbers(spool, most=2) == [1, 2]
    assert numbers(spool, most_bytes=1200) == [1]
    assert numbers(spool, most_bytes=1) == [1]


def test_all_is_there_for_the_next_process(spool: Spool, tmp_path: Path) -> None:
    spool.begin_attempt(start(), refused_claim=3)
    spool.append(RUN, [warning()])
    spool.mark_prompt_delivered(RUN)
    again = Spool(tmp_path / "spool.sqlite3")
    [run] = again.runs_to_recover()
    assert (run.run_id, run.state, run.prompt_delivered, run.last_n, run.refused_claim) == (RUN, "running", True, 1, 3)
    again.close()


def test_a_run_that_is_over_and_delivered_needs_no_recovery_and_keeps_no_key(spool: Spool) -> None:
    spool.begin_attempt(start(), refused_claim=0)
    finish(spool)
    assert [run.state for run in spool.runs_to_recover()] == ["finished"]
    spool.acknowledge(RUN, 1)
    assert spool.runs_to_recover() == []
    run = spool.run(RUN)
    assert run is not None
    assert run.callback_key == ""


def test_a_refused_run_stays_refused_when_its_agent_ends(spool: Spool) -> None:
    spool.begin_attempt(start(), refused_claim=0)
    spool.refuse(RUN, "because")
    finish(spool)
    run = spool.run(RUN)
    assert run is not None
    assert (run.state, run.reason) == ("refused", "because")
    assert spool.runs_to_recover() == []


def test_what_is_never_taken_stays_and_is_not_waited_for(spool: Spool) -> None:
    spool.begin_attempt(start(), refused_claim=0)
    spool.append(RUN, [warning()])
    assert spool.undelivered() == 1
    spool.refuse(RUN, "because")
    assert (numbers(spool), spool.undelivered()) == ([1], 0)


def test_a_run_that_is_anothers_leaves_no_event_and_no_key_even_when_it_is_sent_again(spool: Spool) -> None:
    spool.begin_attempt(start(), refused_claim=0)
    spool.append(RUN, [warning()])
    spool.drop(RUN, "another has it")
    assert (numbers(spool), spool.undelivered()) == ([], 0)
    assert spool.refresh(start()).callback_key == ""


def test_old_runs_are_forgotten_but_not_what_they_have_to_tell(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("executor.runs.spool.RUNS_KEPT", 1)
    told = uuid4()
    for run_id in (told, RUN):
        spool.begin_attempt(start(run_id=run_id), refused_claim=0)
        spool.append(run_id, [Draft("run.finished", RunFinished(status="succeeded"))])
    spool.acknowledge(told, 1)
    for _ in range(2):
        spool.begin_attempt(start(run_id=uuid4()), refused_claim=0)
    assert spool.run(told) is None
    assert numbers(spool) == [1]


def test_an_answer_is_stored_once(spool: Spool) -> None:
    spool.begin_attempt(start(), refused_claim=0)
    request = HumanRequested(request_id=uuid4(), kind="permission", title="?", fingerprint="f")
    answer = Answer(request_id=request.request_id, decision="allow")
    assert spool.store_answer(RUN, answer) is False
    spool.append(RUN, [Draft("human_loop.requested", request)])
    assert spool.is_answered(RUN, request.request_id) is False
    assert spool.store_answer(RUN, answer) is True
    assert spool.store_answer(RUN, answer) is False
    assert spool.is_answered(RUN, request.request_id) is True


def test_a_stop_keeps_the_highest_claim(spool: Spool) -> None:
    assert spool.remember_stop(RUN, 4).state == "refused"
    assert spool.remember_stop(RUN, 2).refused_claim == 4


def test_the_file_is_for_its_owner_alone(spool: Spool, tmp_path: Path) -> None:
    spool.begin_attempt(start(), refused_claim=0)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {0o600}

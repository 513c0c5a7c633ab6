"""Callbacks of many runs at a time: each is stored as if it were alone, and none suffers from its neighbours."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import psycopg
import pytest

from handlers.callbacks.append_only import AppendOnlyCall, receive_append_only_calls
from schema.executor_api import CallbackBody
from schema.signature import signed_headers
from tests.integration.functions.conftest import Api, Driver, Served, answer_json

pytestmark = pytest.mark.both_postgres_in_full
RUNS, CALLS = 8, 12


def rows_of(conn: psycopg.Connection, driver: Driver) -> list[tuple[int, int | None, str | None]]:
    return conn.execute(
        "SELECT seq, n, data ->> 'text' FROM run_events WHERE session_id = %s ORDER BY seq", [driver.session_id]
    ).fetchall()


def test_many_runs_report_at_once_and_every_log_is_whole(served: Served, conn: psycopg.Connection) -> None:
    drivers = [served.bind() for _ in range(RUNS)]

    def report(driver: Driver) -> list[int]:
        return [driver.report(driver.delta(f"{i}a"), driver.delta(f"{i}b"))[0] for i in range(CALLS)]

    with ThreadPoolExecutor(RUNS) as pool:
        assert list(pool.map(report, drivers)) == [[200] * CALLS] * RUNS
    for driver in drivers:
        rows = rows_of(conn, driver)
        assert [text for _, n, text in rows if n] == [f"{i}{part}" for i in range(CALLS) for part in "ab"]
        assert all(after[0] == before[0] + 1 for before, after in pairwise(rows))


def test_a_session_that_is_held_holds_up_no_other(served: Served, conn: psycopg.Connection) -> None:
    held, free = served.bind(), served.bind()
    with ThreadPoolExecutor(1) as pool:
        with conn.transaction():
            conn.execute("SELECT FROM session_logs WHERE session_id = %s FOR UPDATE", [held.session_id])
            waiting = pool.submit(held.report, held.delta("late"))
            assert [free.report(free.delta(str(i)))[0] for i in range(5)] == [200] * 5
            assert not waiting.done()
        assert waiting.result(20)[0] == 200
    assert [text for _, n, text in rows_of(conn, held) if n] == ["late"]


@pytest.mark.parametrize("together", [False, True])
def test_a_session_that_is_held_is_passed_over_at_once(
    served: Served, conn: psycopg.Connection, database: str, *, together: bool
) -> None:
    held, free = served.bind(), served.bind()
    calls = [plain(held), plain(free)] if together else [plain(held)]
    with conn.transaction(), psycopg.connect(database) as other:
        conn.execute("SELECT FROM session_logs WHERE session_id = %s FOR UPDATE", [held.session_id])
        other.execute("SET statement_timeout = '5s'")
        taken = receive_append_only_calls(other, calls, lease_seconds=60)
    assert list(taken) == ([free.run_id] if together else [])
    assert [text for _, n, text in rows_of(conn, held) if n] == []


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(
    "other", [{"epoch": 2}, {"attempt": 2}, {"generation": 2}, {"n": 2}], ids=["epoch", "attempt", "generation", "gap"]
)
def test_what_does_not_fit_is_not_taken_whoever_comes_with_it(
    api: Api, conn: psycopg.Connection, other: dict[str, int], *, together: bool
) -> None:
    unfit, good = api.bind(), api.bind()
    calls = [plain(unfit, **other), plain(good)] if together else [plain(unfit, **other)]
    with conn.transaction():
        taken = receive_append_only_calls(conn, calls, lease_seconds=60)
    assert list(taken) == ([good.run_id] if together else [])
    assert [text for _, n, text in rows_of(conn, unfit) if n] == []


def plain(driver: Driver, *, epoch: int = 1, attempt: int = 1, generation: int = 1, n: int = 1) -> AppendOnlyCall:
    said = driver.event("message.delta", n=n, messageId="m1", role="assistant", text="said")
    body = {"epoch": epoch, "attempt": attempt, "events": [said]}
    return AppendOnlyCall(driver.run_id, CallbackBody.model_validate(body), generation)


def test_calls_that_are_refused_leave_their_neighbours_alone(served: Served, conn: psycopg.Connection) -> None:
    good, gap, forged = served.bind(), served.bind(), served.bind()
    forged.key = good.key
    gap.n = 5

    def report(driver: Driver) -> list[int]:
        return [driver.report(driver.delta(str(i)))[0] for i in range(CALLS)]

    with ThreadPoolExecutor(3) as pool:
        statuses = list(pool.map(report, [good, gap, forged]))
    assert statuses == [[200] * CALLS, [409] * CALLS, [401] * CALLS]
    assert [sum(1 for _, n, _ in rows_of(conn, driver) if n) for driver in (good, gap, forged)] == [CALLS, 0, 0]


@pytest.mark.parametrize("change", ["at", "id"])
def test_what_only_looks_odd_is_stored_too(api: Api, conn: psycopg.Connection, change: str) -> None:
    driver = api.bind()
    event = driver.delta("odd")
    event[change] = {"at": "2026-01-02T03:04:05.678901+05:30", "id": "{" + event["id"].upper() + "}"}[change]
    assert driver.report(event)[0] == 200
    assert [text for _, n, text in rows_of(conn, driver) if n] == ["odd"]


def test_the_callers_trace_goes_on_in_the_answer(api: Api) -> None:
    driver = api.bind()
    body = driver.body(driver.delta("x"))
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {**signed_headers(driver.key, body), "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    answer = api.client.post(driver.path, data=body, headers=headers)
    assert answer.headers["x-trace-id"] == trace
    assert answer.headers["traceparent"].startswith(f"00-{trace}-")
    assert answer_json(answer) == {"accepted": 1, "duplicates": 0, "lastSeq": 3, "stopRequested": False}


def test_a_body_that_is_too_large_is_refused_as_ever(api: Api) -> None:
    driver = api.bind()
    body = json.dumps({"epoch": 1, "attempt": 1, "events": [], "x": "y" * 9_000_000}).encode()
    assert driver.report_raw(body)[0] == 413


def test_a_finished_run_takes_no_plain_calls(api: Api, conn: psycopg.Connection) -> None:
    driver = api.bind()
    driver.report(driver.delta("in time"))
    driver.finish()
    assert driver.report(driver.delta("late"))[0] == 200
    assert conn.execute(
        "SELECT late FROM run_events WHERE run_id = %s ORDER BY seq DESC LIMIT 1", [driver.run_id]
    ).fetchone() == (True,)

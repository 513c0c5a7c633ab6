"""Every reader of a log gets every event after its cursor once and in order, whatever happens to the others.

Against a real gunicorn: threads, sockets and signals are what is tried here.
"""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from functions.events.follow import RECHECK_SECONDS
from tests.integration.functions.conftest import Serve, Served, wait_until
from tests.integration.functions.readers import (
    next_message,
    opened,
    report_many,
    seqs_up_to,
    sse_events,
)


def test_a_socket_begins_with_a_snapshot_and_goes_on_live(served: Served) -> None:
    driver = served.bind()
    with opened(served, driver) as ws:
        snapshot = next_message(ws)
        assert (snapshot["kind"], snapshot["seq"], snapshot["runs"][0]["status"]) == ("snapshot", 2, "running")
        driver.report(driver.delta("hello"))
        event = next_message(ws)
        assert (event["kind"], event["seq"], event["type"]) == ("event", 3, "message.delta")
        assert event["data"]["text"] == "hello"


@pytest.mark.both_postgres
def test_a_socket_with_a_cursor_replays_and_goes_on_live(served: Served) -> None:
    driver = served.bind()
    report_many(driver, 500)
    with opened(served, driver, after=0) as ws:
        assert seqs_up_to(ws, 502) == list(range(1, 503))
        driver.finish()
        assert next_message(ws)["type"] == "run.finished"


@pytest.mark.both_postgres
def test_two_tabs_both_get_everything(served: Served) -> None:
    driver = served.bind()
    with opened(served, driver, after=0) as one, opened(served, driver, after=0) as two:
        report_many(driver, 200, batch=10)
        assert seqs_up_to(one, 202) == seqs_up_to(two, 202) == list(range(1, 203))


def test_closing_every_reader_stops_no_run(served: Served) -> None:
    driver = served.bind()
    path = f"/api/runs/{driver.run_id}/stream"
    with opened(served, driver), served.client() as client, client.stream("GET", path) as response:
        next(sse_events(response))
    assert driver.report(driver.delta("still here"))[0] == 200
    with served.client() as client:
        assert client.get(f"/api/runs/{driver.run_id}").json()["status"] == "running"


@pytest.mark.both_postgres
def test_reconnecting_at_any_cursor_gives_the_exact_rest(served: Served) -> None:
    driver = served.bind()
    report_many(driver, 1000, batch=100)
    driver.finish()
    chance = random.Random(7)
    for cursor in [0, 1, 1002, *(chance.randrange(1003) for _ in range(20))]:
        with opened(served, driver, after=cursor) as ws:
            assert seqs_up_to(ws, 1003) == list(range(cursor + 1, 1004))


@pytest.mark.both_postgres
def test_reconnecting_a_stream_gives_the_exact_rest(served: Served) -> None:
    driver = served.bind()
    report_many(driver, 300)
    driver.finish()
    chance = random.Random(7)
    with served.client() as client:
        for cursor in [0, 302, *(chance.randrange(303) for _ in range(10))]:
            headers = {"Last-Event-ID": str(cursor)}
            with client.stream("GET", f"/api/runs/{driver.run_id}/stream?cursor=5", headers=headers) as response:
                assert [seq for seq, _, _ in sse_events(response)] == list(range(cursor + 1, 304))


@pytest.mark.both_postgres
def test_readers_that_come_and_go_while_it_grows_miss_nothing(served: Served) -> None:
    driver = served.bind()
    writer = threading.Thread(target=report_many, args=(driver, 600), kwargs={"batch": 5})

    def read(seed: int) -> list[int]:
        chance, seen = random.Random(seed), list[int]()
        while not seen or seen[-1] < 602:
            with opened(served, driver, after=seen[-1] if seen else 0) as ws:
                for _ in range(chance.randrange(1, 150)):
                    seen.append(next_message(ws)["seq"])
                    if seen[-1] == 602:
                        break
        return seen

    with ThreadPoolExecutor(4) as readers:
        writer.start()
        results = list(readers.map(read, range(4)))
    writer.join()
    assert results == [list(range(1, 603))] * 4


def test_a_stream_ends_after_the_end_of_its_run(served: Served) -> None:
    driver = served.bind()
    with served.client() as client, client.stream("GET", f"/api/runs/{driver.run_id}/stream") as response:
        events = sse_events(response)
        assert next(events)[:2] == (1, "run.queued")
        driver.report(driver.delta("x"))
        driver.finish()
        rest = list(events)
    assert [type_ for _, type_, _ in rest] == ["run.started", "message.delta", "run.finished"]
    assert [data["seq"] for _, _, data in rest] == [2, 3, 4]


def test_a_stream_from_the_end_of_an_ended_run_has_no_content(served: Served) -> None:
    driver = served.bind()
    driver.finish()
    with served.client() as client:
        path = f"/api/runs/{driver.run_id}/stream"
        answers = [client.get(f"{path}?cursor=3"), client.get(path, headers={"Last-Event-ID": "3"})]
        before = client.get(f"{path}?cursor=2")
    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 2
    assert (before.status_code, "event: run.finished" in before.text) == (200, True)


def test_a_stream_from_the_end_gives_what_came_late_and_ends_at_once(served: Served) -> None:
    driver = served.bind()
    driver.finish()
    driver.report(driver.delta("too late"))
    with served.client() as client:
        answer = client.get(f"/api/runs/{driver.run_id}/stream?cursor=3", timeout=RECHECK_SECONDS / 2)
    assert "too late" in answer.text


@pytest.mark.both_postgres
def test_a_reader_sees_what_was_committed_without_a_hint(served: Served, conn: psycopg.Connection) -> None:
    driver = served.bind()
    with opened(served, driver, after=2) as ws:
        with conn.transaction():  # as a process that died between commit and hint
            conn.execute("UPDATE session_logs SET last_seq = last_seq + 1")
            conn.execute(
                """INSERT INTO run_events (session_id, seq, id, run_id, author, type, at, data)
                VALUES (%s, 3, gen_random_uuid(), %s, 'system', 'message.delta', now(), '{}')""",
                (driver.session_id, driver.run_id),
            )
        began = time.monotonic()
        assert next_message(ws)["seq"] == 3
        assert time.monotonic() - began < 1.5


@pytest.mark.both_postgres
def test_readers_of_another_process_are_woken_by_the_hint(serve: Serve) -> None:
    here, there = serve(), serve()
    driver = here.bind()
    with opened(there, driver, after=2) as ws:
        for i in range(20):
            driver.report(driver.delta(str(i)))
            assert next_message(ws)["seq"] == 3 + i


def test_readers_wait_out_a_database_that_loses_its_connections(served: Served, conn: psycopg.Connection) -> None:
    driver = served.bind()
    with opened(served, driver, after=2) as ws:
        for i in range(3):
            conn.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()"""
            )
            assert driver.report(driver.delta(str(i)))[0] == 200
            assert next_message(ws)["seq"] == 3 + i
    with served.client() as client:
        wait_until(lambda: client.get("/ready").json()["listening"] == "ok")


def test_an_event_of_eight_megabytes_arrives_whole(serve: Serve) -> None:
    served = serve(MAX_CALLBACK_BYTES=str(16 * 1024 * 1024))
    driver = served.bind()
    text = "0123456789abcdef" * (512 * 1024)
    with opened(served, driver, after=2) as ws:
        assert driver.report(driver.delta(text))[0] == 200
        assert next_message(ws, seconds=20)["data"]["text"] == text

"""Many calls of many runs at once, through a real server: overlapping, repeated, and against a stop and the end."""

from __future__ import annotations

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from schema.signature import signed_headers
from schema.wire import Json
from tests.integration.functions.conftest import Driver, Served
from tests.integration.log.laws import broken_laws
from tests.thoroughness import FULL, SEED, times

ROUNDS = times(3, 200)
RUNS, SENDERS, EVENTS = 4, 3, 60
pytestmark = [pytest.mark.both_postgres, pytest.mark.timeout(times(180, 3600))]


def all_it_says(driver: Driver) -> list[Json]:
    """Its end is in the middle: what follows is late."""
    before, after = EVENTS // 2, EVENTS - EVENTS // 2
    said = [driver.delta("x") for _ in range(before)]
    end = driver.event("run.finished", status="succeeded", stopReason="end_turn")
    return [*said, end, *(driver.delta("late") for _ in range(after))]


def deliver(client: httpx.Client, driver: Driver, said: list[Json], gate: threading.Barrier, chance: int) -> None:
    """Send parts of what was said, from where the log wants it or before, until all of it is acknowledged."""
    dice, reached = random.Random(chance), 0
    gate.wait(30)
    while reached < len(said):
        first = max(0, reached - dice.choice([0, 0, 1, 5]))
        body = driver.body(*said[first : reached + dice.choice([1, 1, 2, 10])])
        headers = {**signed_headers(driver.key, body), "Content-Type": "application/json"}
        answer = client.post(driver.path, content=body, headers=headers)
        if answer.status_code == 409:
            assert answer.json()["code"] == "gap", answer.text
            reached = answer.json()["expected"] - 1
        else:
            assert answer.status_code == 200, answer.text
            reached = first + len(json.loads(body)["events"])


def stop(client: httpx.Client, driver: Driver, gate: threading.Barrier) -> None:
    gate.wait(30)
    assert client.post(f"/api/runs/{driver.run_id}/stop").status_code in (200, 202)


def told(conn: psycopg.Connection, driver: Driver) -> list[str]:
    select = "SELECT id::text FROM run_events WHERE run_id = %s AND author = 'executor' ORDER BY seq"
    return [row[0] for row in conn.execute(select, (driver.run_id,)).fetchall()]


def test_senders_that_overlap_store_each_event_once_and_in_order(served: Served, conn: psycopg.Connection) -> None:
    dice = random.Random(SEED if FULL else 7)
    print(f"RUNYARD_TEST_SEED={SEED}")
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    with served.client(limits=limits) as client, ThreadPoolExecutor(RUNS * (SENDERS + 1)) as pool:
        for _ in range(ROUNDS):
            drivers = [served.bind() for _ in range(RUNS)]
            gate = threading.Barrier(RUNS * (SENDERS + 1))
            said = {driver.run_id: all_it_says(driver) for driver in drivers}
            done = [
                pool.submit(deliver, client, driver, said[driver.run_id], gate, dice.randrange(2**32))
                for driver in drivers
                for _ in range(SENDERS)
            ]
            done += [pool.submit(stop, client, driver, gate) for driver in drivers]
            for one in done:
                one.result(120)
            for driver in drivers:
                assert told(conn, driver) == [event["id"] for event in said[driver.run_id]]
                assert broken_laws(conn, driver.session_id) == []

"""However a source's events come (at once, doubled, in disorder, late, against a stop), the log is the same.

tests/FAULTS.md: faults 4, 5, 6 and 7.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from tests.acceptance.faults.plane import Plane
from tests.acceptance.stack import free_port
from tests.acceptance.talk import Json, Talk
from tests.thoroughness import times

pytestmark = [pytest.mark.stack, pytest.mark.both_postgres]


def test_one_event_by_fifty_parallel_calls_to_two_processes_is_one_row(plane: Plane) -> None:
    port = free_port()
    plane.start_api(port=port)
    driver = plane.bind()
    event = driver.delta("once")
    there = replace(driver, send=partial(plane.send_to, f"http://127.0.0.1:{port}"))
    with ThreadPoolExecutor(50) as callers:
        answers = list(callers.map(lambda i: (driver, there)[i % 2].report(event), range(50)))
    assert [status for status, _ in answers] == [200] * 50
    assert sum(said["accepted"] for _, said in answers) == 1
    assert {said["lastSeq"] for _, said in answers} == {3}
    assert driver.finish()[0] == 200


def test_events_in_any_order_and_with_holes_end_up_in_their_own(plane: Plane, talk: Talk) -> None:
    driver = plane.bind()
    reader = plane.follow(driver.session_id)
    events = [*(driver.delta(str(i)) for i in range(20)), driver.event("run.finished", status="succeeded")]
    waiting, chance = list(events), random.Random(5)
    refusals: list[Json] = []
    while waiting:
        event = chance.choice(waiting)
        status, said = driver.report(event)
        if status == 200:
            waiting.remove(event)
        else:
            assert (status, said["code"]) == (409, "gap")
            refusals.append(said)
        if len(waiting) > 1:
            assert talk.run(str(driver.run_id))["status"] == "running", "the end waits for what is missing"
    assert refusals
    assert [e["id"] for e in talk.events(str(driver.run_id))[2:]] == [event["id"] for event in events]
    reader.read_up_to(23)


def test_a_delta_after_the_end_is_late_and_moves_nothing(plane: Plane, talk: Talk) -> None:
    driver = plane.bind()
    driver.finish()
    assert driver.report(driver.delta("too late"), driver.event("run.finished", status="failed"))[0] == 200
    assert talk.run(str(driver.run_id))["status"] == "succeeded"
    assert [event.get("late") for event in talk.events(str(driver.run_id))][-3:] == [None, True, True]


@pytest.mark.timeout(times(180, 3600))
def test_an_end_against_a_stop_is_one_end(plane: Plane, talk: Talk) -> None:
    seen = set()
    with ThreadPoolExecutor(2) as both:
        for i in range(times(15, 1000)):
            driver = plane.bind()
            first, second = (driver.finish, lambda d=driver: talk.stop(str(d.run_id)))[:: 1 if i % 2 else -1]
            ended = [both.submit(first), both.submit(second)]
            assert [bool(each.result()) for each in ended]
            if talk.run(str(driver.run_id))["status"] == "cancelling":
                driver.finish()
            ends = [e for e in talk.events(str(driver.run_id)) if e["type"] == "run.finished" and not e.get("late")]
            assert len(ends) == 1
            seen.add(ends[0]["data"]["status"])
    assert seen <= {"succeeded", "cancelled"}

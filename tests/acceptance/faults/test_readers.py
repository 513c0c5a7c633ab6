"""Readers that are cut, slowed, frozen, or come back anywhere: each gets all of the log, and costs the others nothing.

tests/FAULTS.md: faults 13, 17, 19 and 20; mistakes 1, 2 and 10.
"""

from __future__ import annotations

import random

import psutil
import pytest

from tests.acceptance.faults.plane import Plane
from tests.acceptance.talk import Json, Talk, end
from tests.acceptance.waiting import wait_until
from tests.checker import Reading, Recorded, check
from tests.integration.functions.conftest import Driver
from tests.proxy import proxy_to
from tests.thoroughness import times

pytestmark = pytest.mark.stack
by_both_sockets = pytest.mark.parametrize("by", ["session", "tab"])
"""By the WebSocket of one session, and by the one of a tab."""


def report_many(driver: Driver, count: int, *, batch: int = 100, text: str = "x") -> None:
    for begin in range(0, count, batch):
        events = [driver.delta(text) for _ in range(min(batch, count - begin))]
        assert driver.report(*events)[0] == 200


def incompressible(size: int) -> str:
    """Sockets compress what they can."""
    return random.Random(1).randbytes(size // 2).hex()


@by_both_sockets
def test_a_listen_connection_that_falls_silent_is_noticed_and_nothing_is_missed(
    plane: Plane, talk: Talk, by: str
) -> None:
    driver = plane.bind()
    reader = plane.follow(driver.session_id, by=by)
    assert plane.api_postgres.freeze(b"runyard listen") == 1
    report_many(driver, 20, batch=1)
    wait_until(lambda: reader.cursor == 22, seconds=30, what="the poll does not bring it")
    listening = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'runyard listen' AND query LIKE 'LISTEN%%'"
    )
    wait_until(lambda: plane.one(listening) == 2, seconds=60, what="it does not listen on a new connection")
    report_many(driver, 20, batch=1)
    assert driver.finish()[0] == 200
    wait_until(lambda: talk.http.get("/ready").json()["listening"] == "ok", seconds=30, what="not listening")


@by_both_sockets
def test_a_reader_that_stops_reading_is_cut_and_takes_up_its_cursor_without_a_loss(plane: Plane, by: str) -> None:
    driver = plane.bind()
    others = [plane.follow(driver.session_id, by=by) for _ in range(2)]
    with proxy_to("127.0.0.1", plane.port, window_bytes=65_536) as slow:
        reader = plane.follow(driver.session_id, url=slow.url, by=by)
        wait_until(lambda: reader.cursor == 2, seconds=30, what="the reader does not follow")
        slow.stall()
        report_many(driver, 25, batch=1, text=incompressible(300_000))
        wait_until(lambda: {other.cursor for other in others} == {27}, seconds=60, what="others wait for the slow one")
        wait_until(lambda: not is_open(plane, slow.ports_to_server), seconds=60, what="the slow one is not cut")
        slow.heal()
        wait_until(lambda: reader.cursor == 27, seconds=60, what=lambda: f"it is at {reader.cursor}")
        assert driver.finish()[0] == 200
        reader.read_up_to(28)


def is_open(plane: Plane, ports: set[int]) -> bool:
    """Whether the API still holds a connection to one of these, as the kernel sees it."""
    found = [one for process in plane.api.family for one in process.net_connections("tcp4")]
    return bool(ports & {one.raddr.port for one in found if one.status == psutil.CONN_ESTABLISHED})


@by_both_sockets
def test_an_event_of_eight_megabytes_reaches_a_slow_reader_whole(plane: Plane, by: str) -> None:
    driver = plane.bind()
    with proxy_to("127.0.0.1", plane.port) as slow:
        slow.slice_bytes, slow.delay_seconds = 8192, 0.002
        reader = plane.follow(driver.session_id, url=slow.url, by=by)
        wait_until(lambda: reader.cursor == 2, seconds=30, what="the reader does not follow")
        text = incompressible(7_500_000)
        assert driver.report(driver.delta(text))[0] == 200
        wait_until(lambda: reader.cursor == 3, seconds=90, what="it does not come")
        assert reader.events[-1]["data"]["text"] == text
        assert driver.finish()[0] == 200
        reader.read_up_to(4)


def test_an_event_that_is_too_large_is_refused_whole(plane: Plane) -> None:
    driver = plane.bind()
    status, said = driver.report(driver.delta("x" * (8 * 1024 * 1024)))
    assert (status, said["code"]) == (413, "too_large")
    driver.n = 0
    assert driver.finish()[0] == 200


@by_both_sockets
@pytest.mark.timeout(times(180, 3600))
def test_coming_back_at_any_cursor_gives_the_exact_rest(plane: Plane, by: str) -> None:
    count = times(1500, 10_000)
    driver = plane.bind()
    report_many(driver, count)
    assert driver.finish()[0] == 200
    last = count + 3
    cursors = [0, last, *(random.Random(20).randrange(last) for _ in range(times(30, 1000)))]
    readings = [Reading(str(driver.session_id), cursor, read(plane, driver, cursor, last, by)) for cursor in cursors]
    check(plane.database, Recorded(readings=readings))


def read(plane: Plane, driver: Driver, cursor: int, last: int, by: str) -> list[Json]:
    """What one connection gives after the cursor, up to the log's end."""
    with plane.talk() as talk, talk.following(str(driver.session_id), after=cursor, by=by) as events:
        return [next(events) for _ in range(last - cursor)]


@by_both_sockets
@pytest.mark.timeout(times(180, 3600))
def test_connections_that_are_cut_and_sliced_all_the_time_lose_and_double_nothing(plane: Plane, by: str) -> None:
    driver = plane.bind()
    with proxy_to("127.0.0.1", plane.port) as bad:
        bad.slice_bytes = 777
        readers = [plane.follow(driver.session_id, url=bad.url, by=by) for _ in range(3)]
        for _ in range(times(12, 200)):
            report_many(driver, 40, batch=8)
            bad.cut()
        assert driver.finish()[0] == 200
        for reader in readers:
            reader.read_up_to(times(12, 200) * 40 + 3)


def test_closing_every_tab_stops_no_run_and_a_second_tab_has_its_own_cursor(plane: Plane, talk: Talk) -> None:
    started = talk.start("say: one two three\nsleep 1\nsay: four five six", options={"mode": "auto"})
    with talk.following(started["sessionId"]) as one, talk.following(started["sessionId"]) as two:
        assert [next(one)["seq"] for _ in range(2)] == [next(two)["seq"] for _ in range(2)] == [1, 2]
    with talk.http.stream("GET", f"/api/runs/{started['runId']}/stream") as response:
        next(response.iter_lines())
    tabs = [plane.follow(started["sessionId"]) for _ in range(2)]
    plane.wait_for(started["runId"], "succeeded")
    assert end(talk.events(started["runId"]))["status"] == "succeeded"
    wait_until(lambda: all(tab.has("run.finished") for tab in tabs), seconds=30, what="a tab misses the end")

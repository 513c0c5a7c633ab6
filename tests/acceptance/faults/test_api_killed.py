"""An API process that dies at the worst moment of a callback: what it acknowledged is there once, the rest comes again.

tests/FAULTS.md: faults 1, 2 and 3; mistake 3.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.acceptance.faults.plane import Plane
from tests.acceptance.stack import free_port
from tests.acceptance.talk import Json, Talk, outcome, texts
from tests.acceptance.waiting import wait_until
from tests.integration.functions.conftest import Driver
from tests.proxy import COMMITTED, Hold

pytestmark = pytest.mark.stack


def plain(driver: Driver) -> Json:
    """Written by one statement that is its own transaction."""
    return driver.delta("marker")


def with_effect(driver: Driver) -> Json:
    """Written by several statements and a COMMIT."""
    return driver.event("run.warning", code="test", message="marker")


Makes = Callable[[Driver], Json]
KINDS = pytest.mark.parametrize(("make", "last_word"), [(plain, b"marker"), (with_effect, b"COMMIT")])


@KINDS
def test_killed_before_the_commit_it_has_acknowledged_nothing_and_the_retry_stores_once(
    plane: Plane, talk: Talk, make: Makes, last_word: bytes
) -> None:
    driver = plane.bind()
    reader = plane.follow(driver.session_id)
    body = driver.body(make(driver))
    killed_while_calling(plane, driver, body, plane.api_postgres.hold(last_word, after=after(last_word)))
    assert len(talk_again(plane, talk, driver)) == 2
    status, said = driver.report_raw(body)
    assert (status, said["accepted"], said["duplicates"]) == (200, 1, 0)
    assert driver.finish()[0] == 200
    reader.read_up_to(4)


@pytest.mark.parametrize("make", [plain, with_effect])
def test_killed_after_the_commit_before_the_answer_the_retry_is_taken_and_adds_no_row(
    plane: Plane, talk: Talk, make: Makes
) -> None:
    driver = plane.bind()
    body = driver.body(make(driver))
    killed_while_calling(plane, driver, body, plane.api_postgres.hold(COMMITTED, after=b"marker", from_server=True))
    stored = talk_again(plane, talk, driver)
    assert len(stored) == 3
    status, said = driver.report_raw(body)
    assert (status, said["accepted"], said["duplicates"], said["lastSeq"]) == (200, 0, 1, 3)
    assert talk.events(str(driver.run_id)) == stored
    assert driver.finish()[0] == 200


def after(last_word: bytes) -> bytes:
    return b"" if last_word == b"marker" else b"marker"


def killed_while_calling(plane: Plane, driver: Driver, body: bytes, hold: Hold) -> None:
    """The call came to that point; then the process was no more."""
    with ThreadPoolExecutor(1) as background:
        calling = background.submit(driver.report_raw, body)
        hold.wait()
        plane.api.kill()
        hold.drop()
        assert isinstance(calling.exception(60), httpx.TransportError)


def talk_again(plane: Plane, talk: Talk, driver: Driver) -> list[Json]:
    """What the log holds when the API is back."""
    plane.make_well()
    return talk.events(str(driver.run_id))


def test_an_executor_sends_again_what_a_killed_process_did_not_acknowledge(plane: Plane, talk: Talk) -> None:
    started = talk.start("sleep 1\nsay: marker-of-the-agent", options={"mode": "auto"})
    reader = plane.follow(started["sessionId"])
    hold = plane.api_postgres.hold(COMMITTED, after=b"marker-of-the-agent", from_server=True)
    hold.wait()
    plane.api.kill()
    hold.drop()
    plane.make_well()
    plane.wait_for(started["runId"], "succeeded")
    assert texts(talk.events(started["runId"])).count("marker-of-the-agent") == 1
    wait_until(lambda: reader.has("run.finished"), seconds=30, what="the reader does not see the end")


def test_killed_after_the_commit_before_the_hint_readers_elsewhere_see_it_by_their_poll(plane: Plane) -> None:
    port = free_port()
    plane.start_api(port=port)
    driver = plane.bind()
    reader = plane.follow(driver.session_id, url=f"http://127.0.0.1:{port}")
    wait_until(lambda: reader.cursor == 2, seconds=30, what="the reader does not follow")
    body = driver.body(driver.delta("marker"))
    killed_while_calling(plane, driver, body, plane.api_postgres.hold(COMMITTED, after=b"marker", from_server=True))
    wait_until(lambda: reader.cursor == 3, seconds=30, what="the poll does not find it")
    plane.make_well()
    assert driver.report_raw(body)[1]["duplicates"] == 1
    assert driver.finish()[0] == 200


def test_a_restart_of_every_process_marks_no_live_session_as_completed(plane: Plane, talk: Talk) -> None:
    started = talk.start("sleep 20\nsay: still at it", options={"mode": "auto"})
    plane.wait_for(started["runId"], "running")
    plane.worker.end()
    plane.api.end()
    plane.make_well()
    assert talk.run(started["runId"])["status"] == "running"
    events = talk.watch({**started, "seq": 0})
    assert outcome(events) == ("succeeded", None)
    assert "still at it" in texts(events)
    assert talk.run(started["runId"])["attempt"] == 1

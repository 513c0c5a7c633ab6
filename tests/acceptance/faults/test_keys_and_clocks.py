"""Callbacks that are replayed, altered, or signed by a wrong key or a wrong clock: refused, with a reason to act on.

tests/FAULTS.md: faults 29 and 30.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from schema.signature import signed_headers
from tests.acceptance.faults.plane import Plane
from tests.acceptance.talk import Talk
from tests.structure.repository import ROOT

pytestmark = pytest.mark.stack
JUMPS = [timedelta(minutes=10), timedelta(minutes=-10)]


@pytest.mark.parametrize("jump", JUMPS, ids=["ahead", "behind"])
def test_a_clock_that_jumped_by_ten_minutes_is_refused_with_a_sentence_about_it(
    plane: Plane, talk: Talk, jump: timedelta
) -> None:
    driver = plane.bind()
    lease = plane.one("SELECT lease_expires_at FROM session_logs WHERE run_id = %s", driver.run_id)
    body = driver.body(driver.delta("from another time"))
    headers = signed_headers(driver.key, body, now=datetime.now(UTC) + jump)
    status, said = driver.report_raw_as(body, headers)
    assert (status, said["code"]) == (401, "bad_signature")
    assert "clock" in said["detail"]
    assert plane.one("SELECT lease_expires_at FROM session_logs WHERE run_id = %s", driver.run_id) == lease
    assert len(talk.events(str(driver.run_id))) == 2
    assert driver.report_raw(body)[0] == 200, "the clock is right again"
    assert driver.finish()[0] == 200


def test_times_of_events_move_no_lease(plane: Plane) -> None:
    driver = plane.bind()
    event = {**driver.delta("from the future"), "at": (datetime.now(UTC) + timedelta(hours=10)).isoformat()}
    assert driver.report(event)[0] == 200
    ahead = "SELECT lease_expires_at BETWEEN now() AND now() + interval '61 s' FROM session_logs WHERE run_id = %s"
    assert plane.one(ahead, driver.run_id) is True
    assert driver.finish()[0] == 200


def test_leases_locks_and_deadlines_are_reckoned_by_the_database_alone() -> None:
    clock = re.compile(r"\b(time\.(time|monotonic)\(|datetime\.now|utcnow)")
    read = [str(file) for file in (ROOT / "handlers").glob("*.py") if clock.search(file.read_text())]
    assert read == []


def test_replayed_altered_and_foreign_calls_are_refused_and_both_keys_count_while_one_is_rotated(
    plane: Plane, talk: Talk
) -> None:
    driver, other = plane.bind(), plane.bind()
    body = driver.body(driver.delta("mine"))
    an_hour_ago = signed_headers(driver.key, body, now=datetime.now(UTC) - timedelta(hours=1))
    refused = [
        driver.report_raw_as(body, an_hour_ago),
        driver.report_raw_as(body, signed_headers(other.key, body)),
        driver.report_raw_as(body.replace(b"mine", b"ours"), signed_headers(driver.key, body)),
    ]
    assert [(status, said["code"]) for status, said in refused] == [(401, "bad_signature")] * 3
    rotated = talk.http.post(f"/api/runs/{driver.run_id}/bind/rotate").json()
    assert driver.report_raw(body)[0] == 200, "the old key, for the overlap"
    driver.key = rotated["callbackKey"]
    assert driver.report(driver.delta("with the new key"))[0] == 200
    assert [driver.finish()[0], other.finish()[0]] == [200, 200]

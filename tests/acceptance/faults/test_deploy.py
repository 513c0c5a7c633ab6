"""A deploy ends the API and the job worker at work: sockets come back over a time, jobs go on, nothing is lost.

tests/FAULTS.md: fault 38.
"""

from __future__ import annotations

import time

import pytest

from functions.runtime.ports import raise_open_files
from tests.acceptance.faults.many_tabs import ManyTabs
from tests.acceptance.faults.plane import Plane
from tests.acceptance.talk import Talk
from tests.acceptance.waiting import wait_until
from tests.integration.functions.conftest import TOKEN
from tests.thoroughness import times

pytestmark = pytest.mark.stack
GRACE_SECONDS = 30


@pytest.mark.timeout(times(240, 1200))
def test_a_deploy_loses_no_job_and_every_tab_comes_back_to_the_exact_rest(plane: Plane, talk: Talk) -> None:
    raise_open_files()
    runs = times(10, 50)
    prompt = "say: one\nsleep 3\nrun: echo done >> effects\nsay: two"
    started = [talk.start(prompt, options={"mode": "auto"}) for _ in range(runs)]
    sessions = [run["sessionId"] for run in started]
    with ManyTabs(plane.port, TOKEN, sessions, last_seq=0, count=times(200, 1000)) as tabs:
        wait_until(lambda: tabs.connected == tabs.count, seconds=120, what=lambda: f"{tabs.connected} tabs came")
        wait_until(
            lambda: plane.one("SELECT count(*) FROM runs WHERE status = 'running'") != 0, seconds=60, what="idle"
        )
        ended_at = time.monotonic()
        for part in (plane.api, plane.worker):
            part.process.terminate()
        assert plane.api.process.wait(GRACE_SECONDS) == 0, plane.api.log.read_text()[-4000:]
        plane.worker.process.wait(GRACE_SECONDS)  # jobs that take longer are cut off, and taken up by the next worker
        plane.make_well()
        wait_until(lambda: tabs.connected == tabs.count, seconds=120, what=lambda: f"{tabs.connected} tabs are back")
        for run in started:
            plane.wait_for(run["runId"], "succeeded", seconds=120)
        ends = {str(session_id): last_seq(plane, session_id) for session_id in sessions}
        wait_until(lambda: tabs.have(ends), seconds=60, what="a tab misses events")
    assert tabs.counted()[1] == 0, "no event twice, none missing"
    assert {closing["code"] for closing in tabs.closings} == {1012}
    assert len(tabs.closings) == tabs.count
    waits = sorted(closing["retryAfterMs"] for closing in tabs.closings)
    assert waits[-1] - waits[0] > 1000, "they are told to come back over a time"
    assert min(at for at in tabs.handshakes if at > ended_at) > ended_at
    effects = [(plane.workspace(session_id) / "effects").read_text() for session_id in sessions]
    assert effects == ["done\n"] * runs


def last_seq(plane: Plane, session_id: object) -> int:
    return int(str(plane.one("SELECT last_seq FROM session_logs WHERE session_id = %s", session_id)))

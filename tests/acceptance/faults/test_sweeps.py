"""Sweeps that run in several processes at once, or not at all for a while: effects once, and all is caught up.

tests/FAULTS.md: fault 37; mistake 9.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.faults.plane import Plane
from tests.acceptance.talk import Json, Talk, outcome, types
from tests.acceptance.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.both_postgres]
AUTO = {"mode": "auto"}


def claimed_by_nobody(plane: Plane, talk: Talk, count: int) -> list[Json]:
    """Runs whose job worker is gone, with a job that will not come back."""
    plane.worker.kill()
    started = [talk.start("run: echo once >> effects", options=AUTO) for _ in range(count)]
    plane.do(
        """UPDATE runs SET status = 'starting', claim = 1, attempt = 1, epoch = 1, claimed_by = 'nobody',
        lock_expires_at = now() - interval '1 s' WHERE status = 'queued'"""
    )
    plane.do("UPDATE procrastinate_jobs SET status = 'failed' WHERE task_name = 'execute_run' AND status = 'todo'")
    return started


def test_sweeps_of_two_processes_at_once_have_each_effect_once(plane: Plane, talk: Talk) -> None:
    started = claimed_by_nobody(plane, talk, 8)
    plane.worker = plane.start_worker()
    plane.start_worker()
    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(lambda _: talk.http.post("/api/reconcile/runs", json={}).status_code, range(4)))
    assert answers == [200] * 4
    for each in started:
        plane.wait_for(each["runId"], "succeeded", seconds=90)
        seen = Counter(types(talk.events(each["runId"])))
        assert (seen["run.retrying"], seen["run.started"], seen["run.finished"]) == (1, 1, 1)
        assert (plane.workspace(each["sessionId"]) / "effects").read_text() == "once\n"


def test_a_sweep_that_was_missed_for_twenty_minutes_catches_up(plane: Plane, talk: Talk) -> None:
    started = claimed_by_nobody(plane, talk, 3)
    queued = talk.start("run: echo once >> effects", options=AUTO)
    plane.do("UPDATE procrastinate_jobs SET status = 'failed' WHERE task_name = 'execute_run' AND status = 'todo'")
    plane.do(
        """UPDATE runs SET created_at = created_at - interval '20 min', lock_expires_at = now() - interval '20 min',
        next_attempt_at = now() - interval '20 min' WHERE finished_at IS NULL"""
    )
    plane.do("UPDATE control_plane_parts SET seen_at = now() - interval '20 min' WHERE part = 'worker'")
    plane.make_well()
    for each in [*started, queued]:
        plane.wait_for(each["runId"], "succeeded", seconds=90)
        assert (plane.workspace(each["sessionId"]) / "effects").read_text() == "once\n"


def test_a_queue_that_many_write_at_once_loses_no_entry(plane: Plane, talk: Talk) -> None:
    first = talk.start("sleep 1", options=AUTO)
    with ThreadPoolExecutor(8) as callers:
        prompts = [f"run: echo {i} >> effects" for i in range(7)]
        queued = list(callers.map(lambda p: talk.start(p, sessionId=first["sessionId"], options=AUTO), prompts))
    stopped = queued[3]
    talk.stop(stopped["runId"])
    last = max(queued, key=lambda each: each["queuePosition"])
    wait_until(
        lambda: all("finishedAt" in talk.run(each["runId"]) for each in queued),
        seconds=120,
        what=lambda: f"the last of them is {talk.run(last['runId'])}",
    )
    done = sorted(int(n) for n in (plane.workspace(first["sessionId"]) / "effects").read_text().split())
    assert done == [n for n in range(7) if n != 3]
    assert outcome(talk.events(stopped["runId"]))[0] == "cancelled"

"""A job worker that dies or stands still: its runs go on elsewhere, each of their effects happens once.

tests/FAULTS.md: faults 8 and 9; mistakes 7, 8, 16 and 20.
"""

from __future__ import annotations

import json

import pytest

from tests.acceptance.faults.plane import Plane
from tests.acceptance.talk import Json, Talk, outcome, types
from tests.acceptance.waiting import wait_until
from tests.proxy import COMMITTED, Hold

pytestmark = pytest.mark.stack
AUTO = {"mode": "auto"}


def effect(word: str) -> str:
    """A prompt whose effect can be counted."""
    return f"run: echo {word} >> effects\nsay: did it"


def effects(plane: Plane, session_id: str) -> list[str]:
    file = plane.workspace(session_id) / "effects"
    return file.read_text().split() if file.exists() else []


def test_ten_runs_of_a_killed_worker_are_all_done_once(plane: Plane, talk: Talk) -> None:
    started = [talk.start(effect("one"), options=AUTO) for _ in range(10)]
    behind = [talk.start(effect("two"), sessionId=each["sessionId"], options=AUTO) for each in started[:3]]
    wait_until(lambda: claimed(plane) >= 3, seconds=30, what="no run was claimed")
    plane.worker.kill()
    plane.make_well()
    for each in [*started, *behind]:
        plane.wait_for(each["runId"], "succeeded", seconds=90)
    done = [effects(plane, each["sessionId"]) for each in started]
    assert done == [["one", "two"]] * 3 + [["one"]] * 7


def claimed(plane: Plane) -> int:
    return int(str(plane.one("SELECT count(*) FROM runs WHERE claim > 0 AND status = 'starting'"))) + int(
        str(plane.one("SELECT count(*) FROM runs WHERE status = 'running'"))
    )


def test_a_worker_killed_between_claim_and_executor_locks_its_session_for_no_longer_than_its_claim(
    plane: Plane, talk: Talk
) -> None:
    started, _ = claimed_by_one_that_is_held(plane, talk, effect("once"))
    plane.worker.kill()
    plane.make_well()
    plane.wait_for(started["runId"], "succeeded")
    assert effects(plane, started["sessionId"]) == ["once"]
    after = talk.say(effect("next"), sessionId=started["sessionId"], options=AUTO)
    assert outcome(after) == ("succeeded", None)


def claimed_by_one_that_is_held(plane: Plane, talk: Talk, prompt: str) -> tuple[Json, Hold]:
    """The worker has claimed the run and does not know it yet: the answer to its commit is held."""
    hold = plane.worker_postgres.hold(COMMITTED, after=plane.worker.owner.encode(), from_server=True)
    started = talk.start(prompt, options=AUTO)
    hold.wait()
    assert plane.one("SELECT status FROM runs WHERE id = %s", started["runId"]) == "starting"
    return started, hold


def test_a_worker_that_stood_still_beyond_its_claim_writes_nothing_when_it_goes_on(plane: Plane, talk: Talk) -> None:
    zombie = plane.worker
    started, hold = claimed_by_one_that_is_held(plane, talk, effect("once"))
    zombie.pause()
    hold.release()
    plane.worker = plane.start_worker(database=plane.database, RUN_QUEUE_OWNER="the-other")
    plane.wait_for(started["runId"], "succeeded")
    before = talk.events(started["runId"])
    zombie.go_on()
    wait_until(
        lambda: outcome_in_log(zombie.log.read_text(), started["runId"]) == "superseded",
        seconds=60,
        what=lambda: zombie.log.read_text()[-3000:],
    )
    assert talk.events(started["runId"]) == before
    row = str(plane.one("SELECT (claim, attempt, claimed_by)::text FROM runs WHERE id = %s", started["runId"]))
    assert row.startswith("(2,2,the-other/")
    assert effects(plane, started["sessionId"]) == ["once"]


def outcome_in_log(log: str, run_id: str) -> str | None:
    """What the job of the run came to, as that worker says."""
    lines = [json.loads(line) for line in log.splitlines() if "run.job_ended" in line]
    return next((str(line["outcome"]) for line in reversed(lines) if line.get("runId") == run_id), None)


def test_prompts_that_come_while_the_worker_is_starting_are_done_once_and_in_order(plane: Plane, talk: Talk) -> None:
    plane.worker.end()
    first = talk.start(effect("1"), options=AUTO)
    plane.make_well()
    rest = [talk.start(effect(str(i)), sessionId=first["sessionId"], options=AUTO) for i in (2, 3, 4)]
    plane.wait_for(rest[-1]["runId"], "succeeded")
    assert effects(plane, first["sessionId"]) == ["1", "2", "3", "4"]


def test_a_second_job_of_a_live_run_leaves_its_agent_alone(plane: Plane, talk: Talk) -> None:
    started = talk.start("run: echo $$ >> effects; sleep 3; echo done >> effects", options=AUTO)
    plane.wait_for(started["runId"], "running")
    wait_until(lambda: bool(effects(plane, started["sessionId"])), seconds=30, what="the command does not begin")
    job = """INSERT INTO procrastinate_jobs (queue_name, task_name, args)
        VALUES ('runs', 'execute_run', jsonb_build_object('run_id', %s::text)) RETURNING id"""
    job_id = plane.one(job, started["runId"])
    done = "SELECT status = 'succeeded' FROM procrastinate_jobs WHERE id = %s"
    wait_until(lambda: bool(plane.one(done, job_id)), seconds=30, what="the second job is not done")
    plane.wait_for(started["runId"], "succeeded")
    assert effects(plane, started["sessionId"])[1:] == ["done"]
    assert types(talk.events(started["runId"])).count("run.started") == 1

"""The secret key and the address of the API are changed while agents work, wait for people, and cannot report."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.acceptance.faults.plane import Plane, running_plane
from tests.acceptance.stack import free_port
from tests.acceptance.talk import Json, Talk, of_type, outcome, texts, types
from tests.acceptance.waiting import wait_until
from tests.databases import EMBEDDED, ServerOf
from tests.integration.functions.conftest import SECRET, Driver, environment
from tests.model_server.starter import ModelServer
from tests.structure.repository import ROOT

pytestmark = pytest.mark.stack
NEW = "7e" * 32
BOTH = {"RUNYARD_SECRET_KEY": NEW, "RUNYARD_SECRET_KEY_PREVIOUS": SECRET}
ASK: Json = {"mode": "ask"}


@pytest.fixture
def plane(server_of: ServerOf, scripted_model: ModelServer, tmp_path: Path) -> Iterator[Plane]:
    """One of this test alone: its keys are changed."""
    server = server_of(EMBEDDED)
    name = server.create_database()
    try:
        with running_plane(server.dsn(name), tmp_path, model_url=scripted_model.url) as plane:
            plane.make_well()
            yield plane
            plane.check()
    finally:
        server.drop_database(name)


@pytest.fixture
def talk(plane: Plane) -> Iterator[Talk]:
    with plane.talk() as talking:
        yield talking


def restart(plane: Plane, settings: Mapping[str, str], *, port: int | None = None) -> None:
    """Both parts, in order, as in an upgrade. Executors go on."""
    plane.api.end()
    plane.worker.end()
    plane.api = plane.start_api(port=port, **settings)
    plane.worker = plane.start_worker(**settings)


def waiting_run(talk: Talk, name: str) -> tuple[Json, str]:
    started = talk.start(f"write {name}: b", provider="demo", options=ASK)
    talk.watch(started, until="run.waiting")
    pending = talk.http.get("/api/human-loop/pending", params={"sessionId": started["sessionId"]})
    [request] = pending.raise_for_status().json()["items"]
    return started, str(request["requestId"])


def working_run(plane: Plane, talk: Talk) -> Json:
    """A run whose command waits for a file."""
    command = "touch begun; while [ ! -e go-on ]; do sleep 0.1; done"
    started = talk.start(f"run: {command}\nsay: done-with-it", provider="demo", options={"mode": "auto"})
    wait_until((plane.workspace(started["sessionId"]) / "begun").exists, seconds=60, what="the command does not begin")
    return started


def undelivered(plane: Plane, session_id: str) -> int:
    import httpx

    from jobs.hosts.folder import SessionFolder

    listening = SessionFolder(plane.workers / session_id).listening()
    assert listening is not None
    spooled: int = httpx.get(f"{listening.base_url}/health", trust_env=False).json()["spooled"]
    return spooled


def finish(plane: Plane, started: Json) -> None:
    (plane.workspace(started["sessionId"]) / "go-on").touch()


def started_with(plane: Plane, command: list[str], **settings: str) -> tuple[int, str]:
    """Start a part that is expected to end by itself: its status and what it said."""
    env = environment(plane.database, free_port(), {**plane.settings, "RUNYARD_WITHOUT_STORE": "1", **settings})
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


API = ["gunicorn", "-c", "functions/gunicorn.conf.py", "functions.wsgi:app"]


def test_a_new_key_loses_no_question_no_work_and_no_undelivered_event(plane: Plane, talk: Talk) -> None:
    waiting, request_id = waiting_run(talk, "a.txt")
    working = working_run(plane, talk)
    driver = plane.bind()
    plane.api.end()
    finish(plane, working)
    wait_until(lambda: undelivered(plane, working["sessionId"]) > 0, seconds=60, what="nothing waits in the spool")
    restart(plane, BOTH)
    assert talk.reply(request_id, "allow").status_code == 200
    events = talk.watch(waiting)
    assert outcome(events) == ("succeeded", None)
    assert types(events).count("human_loop.requested") == 1
    assert [told["outcome"] for told in of_type(events, "human_loop.applied")] == ["applied"]
    assert "done-with-it" in texts(talk.watch(working))
    attempts = [talk.run(started["runId"])["attempt"] for started in (waiting, working)]
    assert attempts == [1, 1], "the agents were adopted"
    assert driver.report(driver.delta("signed with the old key"))[0] == 200
    rotate(talk, driver)
    assert driver.finish()[0] == 200


def test_a_new_key_signs_the_calls_of_agents_that_still_run(plane: Plane, talk: Talk) -> None:
    """So the previous key is needed for their executors' tokens alone."""
    started = working_run(plane, talk)
    restart(plane, BOTH)
    plane.api.end()
    plane.do("UPDATE session_workers SET key_id = NULL")  # as if nothing needed the old key
    plane.api = plane.start_api(RUNYARD_SECRET_KEY=NEW)
    finish(plane, started)
    assert outcome(talk.watch(started)) == ("succeeded", None)
    plane.api.end()
    plane.api = plane.start_api(port=plane.port, **BOTH)


def test_a_key_that_fits_nothing_is_refused_until_the_loss_is_accepted(plane: Plane, talk: Talk) -> None:
    started, request_id = waiting_run(talk, "a.txt")
    driver = plane.bind()
    plane.api.end()
    plane.worker.end()
    for command in (API, ["jobs"], ["jobs", "check-key"]):
        status, said = started_with(plane, command, RUNYARD_SECRET_KEY=NEW)
        assert status == 2, said
        assert "RUNYARD_SECRET_KEY is not the key of 1 running session worker and 1 live bound run." in said
        assert "--accept-loss" in said
    assert plane.executor_of(started["sessionId"]) is not None
    status, said = started_with(plane, ["jobs", "check-key", "--accept-loss"], RUNYARD_SECRET_KEY=NEW)
    assert (status, "What will be lost: 1 session worker will be stopped." in said) == (0, True), said
    assert plane.executor_of(started["sessionId"]) is None
    restart(plane, {"RUNYARD_SECRET_KEY": NEW})
    assert talk.reply(request_id, "allow").status_code == 200
    events = talk.watch(started)
    assert outcome(events) == ("succeeded", None)
    assert types(events).count("human_loop.requested") == 1
    assert driver.report()[0] == 401
    rotate(talk, driver)
    assert driver.finish()[0] == 200


def test_a_key_is_not_refused_for_executors_that_have_ended(plane: Plane, talk: Talk) -> None:
    started, request_id = waiting_run(talk, "a.txt")
    plane.api.end()
    plane.worker.end()
    executor = plane.executor_of(started["sessionId"])
    assert executor is not None
    executor.kill()
    executor.wait(10)
    plane.worker = plane.start_worker(RUNYARD_SECRET_KEY=NEW)
    plane.api = plane.start_api(RUNYARD_SECRET_KEY=NEW)
    assert talk.reply(request_id, "allow").status_code == 200
    events = talk.watch(started)
    assert outcome(events) == ("succeeded", None)
    assert types(events).count("human_loop.requested") == 1


@pytest.mark.parametrize("is_killed", [False, True], ids=["adopted", "started anew"])
def test_a_spool_is_delivered_to_the_address_that_the_api_has_now(plane: Plane, talk: Talk, is_killed: bool) -> None:  # noqa: FBT001
    working = working_run(plane, talk)
    plane.api.end()
    finish(plane, working)
    wait_until(lambda: undelivered(plane, working["sessionId"]) > 0, seconds=60, what="nothing waits in the spool")
    if is_killed:
        plane.worker.end()
        wait_until(lambda: undelivered(plane, working["sessionId"]) >= 4, seconds=60, what="the run does not end")
        executor = plane.executor_of(working["sessionId"])
        assert executor is not None
        executor.terminate()
        executor.wait(30)
    plane.port = free_port()
    restart(plane, {"RUNYARD_CALLBACK_URL": f"http://127.0.0.1:{plane.port}"}, port=plane.port)
    with plane.talk() as there:
        events = there.watch(working)
        assert outcome(events) == ("succeeded", None)
        assert "done-with-it" in texts(events)
        assert there.run(working["runId"])["attempt"] == 1


def test_a_run_that_is_parked_after_the_address_changed_lets_go_of_its_worker(plane: Plane, talk: Talk) -> None:
    policy = {"onExpiry": "park", "expirySeconds": 5}
    started = talk.start("write a.txt: b", provider="demo", options=ASK, humanLoop=policy)
    talk.watch(started, until="run.waiting")
    plane.port = free_port()
    restart(plane, {"RUNYARD_CALLBACK_URL": f"http://127.0.0.1:{plane.port}"}, port=plane.port)
    plane.wait_for(started["runId"], "parked")
    may_live = "SELECT lease_expires_at IS NOT NULL FROM session_logs WHERE run_id = %s"
    wait_until(lambda: plane.one(may_live, started["runId"]) is False, seconds=60, what="the agent does not end")
    with plane.talk() as there:
        there.stop(started["runId"])


def rotate(talk: Talk, driver: Driver) -> None:
    driver.key = talk.http.post(f"/api/runs/{driver.run_id}/bind/rotate").raise_for_status().json()["callbackKey"]

"""Why runs and requests are as they are: in sentences, with who is at it, until when, and what came before."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from schema.wire import Json
from tests.integration.functions.conftest import Api, Driver, answer_json

pytestmark = pytest.mark.both_postgres_in_full


@pytest.fixture
def driver(api: Api) -> Driver:
    return api.bind()


@pytest.fixture
def asked(driver: Driver) -> str:
    request_id = str(uuid4())
    asking: Json = {
        "requestId": request_id,
        "kind": "permission",
        "title": "Write a.txt",
        "fingerprint": "f",
        "options": [],
    }
    assert driver.report(driver.event("human_loop.requested", **asking))[0] == 200
    return request_id


def why_run(api: Api, run_id: object) -> Json:
    return answer_json(api.get(f"/api/why/runs/{run_id}"))


def why_request(api: Api, request_id: str) -> Json:
    return answer_json(api.get(f"/api/why/human-requests/{request_id}"))


def test_a_queued_run_waits_for_a_job_worker(api: Api) -> None:
    why = why_run(api, api.start()["runId"])
    assert (why["state"], why["blockedBy"], why["nextJob"]) == ("queued", [], "execute_run")
    assert why["code"] == "next_in_session"
    assert [each["what"] for each in why["history"]] == ["run.queued"]


def test_a_queued_run_waits_for_a_job_worker_that_has_stopped_reporting(api: Api, conn: psycopg.Connection) -> None:
    run_id = api.start()["runId"]
    seen = "INSERT INTO control_plane_parts (part, seen_at, well_since) VALUES ('worker', now() - %s, now())"
    conn.execute(seen + " ON CONFLICT (part) DO UPDATE SET seen_at = EXCLUDED.seen_at", [timedelta(seconds=60)])
    why = why_run(api, run_id)
    assert (why["code"], why["nextJob"]) == ("job_worker_away", "execute_run")
    assert why["blockedBy"] == [why["reason"]]
    conn.execute("UPDATE control_plane_parts SET seen_at = now() WHERE part = 'worker'")
    assert why_run(api, run_id)["code"] == "next_in_session"


def test_a_run_waits_for_those_before_it(api: Api, driver: Driver) -> None:
    why = why_run(api, api.start(sessionId=str(driver.session_id))["runId"])
    assert why["blockedBy"] == [f"run {driver.run_id}, which is running"]
    assert why["owner"] == f"run {driver.run_id}"
    assert why["reason"] == "The session has 1 unfinished run before this run."
    assert (why["code"], why["values"]) == ("runs_before", {"count": 1, "status": "running"})


def test_a_run_waits_out_its_pause(api: Api, conn: psycopg.Connection) -> None:
    run_id = api.start()["runId"]
    conn.execute("UPDATE runs SET next_attempt_at = now() + interval '1 hour', last_error = 'Nobody answered.'")
    why = why_run(api, run_id)
    assert "Nobody answered." in why["reason"]
    assert (why["nextJob"], "nextDeadline" in why) == ("execute_run", True)


def test_a_run_is_held_back_by_a_limit(api: Api, conn: psycopg.Connection) -> None:
    run_id = api.start()["runId"]
    conn.execute("UPDATE runs SET held_by = 'user', held_since = now()")
    assert why_run(api, run_id)["blockedBy"] == [
        "The user has used up the share of concurrent runs (RUN_LIMIT_PER_USER)."
    ]


def test_a_waiting_run_names_what_it_waits_for(api: Api, driver: Driver, asked: str, conn: psycopg.Connection) -> None:
    conn.execute("UPDATE human_requests SET expires_at = now() + interval '1 hour', on_expiry = 'deny'")
    why = why_run(api, driver.run_id)
    assert (why["state"], why["blockedBy"]) == ("waiting", [f"request {asked}: Write a.txt"])
    assert (why["code"], why["values"]) == ("waits", {"count": 1})
    assert (why["nextJob"], "nextDeadline" in why) == ("expire_requests", True)
    assert [each["what"] for each in why["history"]][:2] == ["run.waiting", "human_loop.requested"]


def test_a_run_that_ended_says_how(api: Api, driver: Driver) -> None:
    reason = {"code": "agent_crashed", "message": "It crashed."}
    driver.report(driver.event("run.finished", status="failed", reason=reason))
    why = why_run(api, driver.run_id)
    assert (why["state"], why["reason"], why["blockedBy"]) == ("failed", "It crashed.", [])


def test_an_open_request_says_who_may_answer_and_what_comes_then(
    api: Api, asked: str, conn: psycopg.Connection
) -> None:
    conn.execute("UPDATE human_requests SET expires_at = now() + interval '1 hour', on_expiry = 'park'")
    why = why_request(api, asked)
    assert why["reason"] == (
        "The request has no answer yet. At the deadline the run is parked, and the request stays open."
    )
    assert why["blockedBy"] == [f"an answer of {why['owner']}"]
    assert (why["nextJob"], "nextDeadline" in why) == ("expire_requests", True)


def test_an_answered_request_is_on_its_way_and_then_settled(api: Api, driver: Driver, asked: str) -> None:
    api.post("/api/human-loop/reply", {"requestId": asked, "decision": "deny"})
    why = why_request(api, asked)
    assert (why["state"], why["nextJob"]) == ("answered", "deliver_answer")
    driver.report(driver.event("human_loop.applied", requestId=asked, outcome="applied", told="No (no)"))
    why = why_request(api, asked)
    assert (why["state"], why["reason"]) == ("applied", "The agent received the answer. Told: No (no)")
    assert [each["what"] for each in why["history"]] == [
        "human_loop.applied",
        "human_loop.resolved",
        "human_loop.requested",
    ]


def test_others_learn_nothing_and_operators_all(
    api: Api, driver: Driver, asked: str, member: str, conn: psycopg.Connection
) -> None:
    mia = Api(api.client, member)
    paths = [f"/api/why/runs/{driver.run_id}", f"/api/why/human-requests/{asked}"]
    assert [mia.get(path).status_code for path in paths] == [404, 404]
    conn.execute("UPDATE users SET role = 'operator' WHERE name = 'mia'")
    assert [mia.get(path).status_code for path in paths] == [200, 200]
    unknown = [f"/api/why/{what}/{uuid4()}" for what in ("runs", "human-requests")]
    assert [mia.get(path).status_code for path in unknown] == [404, 404]

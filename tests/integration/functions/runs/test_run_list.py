"""Runs over sessions, a run repeated, and a log read backwards."""

from __future__ import annotations

import psycopg
import pytest

from schema.wire import Json
from tests.integration.functions.conftest import Api, answer_json


@pytest.fixture
def mia(api: Api, member: str) -> Api:
    return Api(api.client, member)


def listed(api: Api, query: str = "") -> list[Json]:
    items: list[Json] = answer_json(api.get(f"/api/runs?{query}"))["items"]
    return items


def test_a_list_says_why_a_run_waits_and_shows_no_prompt(api: Api) -> None:
    started = api.start("my secret plan")
    [run] = listed(api)
    assert (run["runId"], run["status"], run["userName"]) == (started["runId"], "queued", "admin")
    assert run["why"].startswith("The run is next in its session")
    assert "prompt" not in run


def test_members_see_their_own_and_operators_all_without_titles(api: Api, mia: Api, conn: psycopg.Connection) -> None:
    api.start("of the admin")
    mine = mia.start("of mia")
    assert [run["runId"] for run in listed(mia)] == [mine["runId"]]
    conn.execute(
        "UPDATE users SET role = 'operator' WHERE id = (SELECT user_id FROM runs WHERE id = %s)", (mine["runId"],)
    )
    conn.commit()
    assert [run.get("sessionTitle") for run in listed(mia)] == ["of mia", None]


def test_filters_and_pages(api: Api) -> None:
    driver = api.bind(provider="elsewhere")
    driver.finish()
    started = [api.start(f"prompt {number}") for number in range(3)]
    assert [run["runId"] for run in listed(api, "status=succeeded")] == [str(driver.run_id)]
    assert [run["provider"] for run in listed(api, "provider=elsewhere")] == ["elsewhere"]
    page = answer_json(api.get("/api/runs?limit=2&provider=demo"))
    rest = listed(api, f"limit=2&provider=demo&cursor={page['nextCursor']}")
    assert [run["runId"] for run in page["items"] + rest] == [run["runId"] for run in started[::-1]]


def test_a_run_that_nobody_takes_is_stuck(api: Api, conn: psycopg.Connection) -> None:
    started = api.start()
    assert listed(api, "stuck=true") == []
    conn.execute("UPDATE runs SET next_attempt_at = now() - interval '1 minute'")
    conn.commit()
    assert [run["runId"] for run in listed(api, "stuck=true")] == [started["runId"]]


def test_a_run_is_repeated_in_its_session(api: Api) -> None:
    started = api.start("again please", options={"mode": "auto"})
    assert answer_json(api.post(f"/api/runs/{started['runId']}/retry"))["code"] == "not_ended"
    api.post(f"/api/runs/{started['runId']}/stop")
    again = api.post(f"/api/runs/{started['runId']}/retry", {"options": {"model": "small"}})
    assert again.status_code == 202
    run = answer_json(api.get(again.headers["Location"]))
    assert (run["prompt"], run["retryOf"], run["sessionId"]) == ("again please", started["runId"], started["sessionId"])


def test_nobody_repeats_anothers_run(api: Api, mia: Api) -> None:
    started = api.start()
    api.post(f"/api/runs/{started['runId']}/stop")
    assert mia.post(f"/api/runs/{started['runId']}/retry").status_code == 404


def test_a_log_is_read_backwards_to_its_beginning(api: Api) -> None:
    driver = api.bind()
    driver.report(*[driver.delta(str(number)) for number in range(5)])
    path = f"/api/sessions/{driver.session_id}/events"
    forwards = [event["seq"] for event in answer_json(api.get(path))["items"]]
    seen: list[int] = []
    before = 10**6
    while True:
        page = answer_json(api.get(f"{path}?before={before}&limit=2"))
        seen += [event["seq"] for event in page["items"]]
        if "nextCursor" not in page:
            break
        before = page["nextCursor"]
    assert seen == forwards[::-1]


def test_one_event_is_whole(api: Api, mia: Api) -> None:
    driver = api.bind()
    driver.report(driver.delta("x" * 20_000))
    path = f"/api/sessions/{driver.session_id}/events"
    last = answer_json(api.get(path))["items"][-1]
    assert answer_json(api.get(f"{path}/{last['seq']}")) == last
    assert api.get(f"{path}/{10**6}").status_code == 404
    assert api.get(f"{path}/{10**30}").status_code == 404
    assert mia.get(f"{path}/{last['seq']}").status_code == 404

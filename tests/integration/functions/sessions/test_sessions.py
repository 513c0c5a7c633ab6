"""Sessions are opened, listed, renamed, put away; their runs and logs are read in pages."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.integration.functions.conftest import Api, answer_json

pytestmark = pytest.mark.both_postgres_in_full


def test_a_session_is_opened(api: Api) -> None:
    answer = api.post("/api/sessions", {"title": "Mine"})
    session = answer_json(answer)
    assert (answer.status_code, session["title"], session["lastSeq"]) == (201, "Mine", 0)
    assert answer_json(api.get(answer.headers["Location"])) == session


def test_times_are_utc(api: Api) -> None:
    assert answer_json(api.post("/api/sessions", {}))["createdAt"].endswith("Z")


def test_a_session_of_an_unknown_app_is_refused(api: Api) -> None:
    answer = api.post("/api/sessions", {"appId": str(uuid4())})
    assert (answer.status_code, answer_json(answer)["code"]) == (404, "unknown_app")


def test_pages_show_every_session_once_newest_first(api: Api) -> None:
    made = [answer_json(api.post("/api/sessions", {"title": str(i)}))["sessionId"] for i in range(5)]
    seen: list[str] = []
    query = "limit=2"
    while query:
        page = answer_json(api.get(f"/api/sessions?{query}"))
        seen += [item["sessionId"] for item in page["items"]]
        query = f"limit=2&cursor={page['nextCursor']}" if "nextCursor" in page else ""
    assert seen == made[::-1]


@pytest.mark.parametrize(
    "query", ["cursor=nonsense", "cursor=%00", "cursor=1-x", "limit=0", "limit=501", "limit=x", "nope=1"]
)
def test_a_bad_page_is_refused(api: Api, query: str) -> None:
    assert api.get(f"/api/sessions?{query}").status_code == 422


def test_a_run_moves_the_time_of_the_sessions_last_change(api: Api) -> None:
    session = answer_json(api.post("/api/sessions", {}))
    api.start("hello", sessionId=session["sessionId"])
    changed = answer_json(api.get(f"/api/sessions/{session['sessionId']}"))
    assert changed["updatedAt"] > session["updatedAt"]


def test_a_session_is_renamed(api: Api) -> None:
    started = api.start("first words")
    renamed = api.patch(f"/api/sessions/{started['sessionId']}", {"title": "Better"})
    assert (renamed.status_code, answer_json(renamed)["title"]) == (200, "Better")


@pytest.mark.parametrize("body", [{}, {"title": ""}, {"title": "x" * 201}, {"title": "a\0"}, {"name": "x"}])
def test_a_bad_name_is_refused(api: Api, body: object) -> None:
    started = api.start()
    assert api.patch(f"/api/sessions/{started['sessionId']}", body).status_code in (400, 422)


def test_a_session_with_an_unsettled_run_is_kept(api: Api) -> None:
    started = api.start()
    answer = api.delete(f"/api/sessions/{started['sessionId']}")
    assert (answer.status_code, answer_json(answer)["code"]) == (409, "session_busy")
    assert answer_json(answer)["runId"] == started["runId"]


def test_a_deleted_session_is_gone_with_its_runs(api: Api) -> None:
    started = api.start()
    api.post(f"/api/runs/{started['runId']}/stop")
    assert api.delete(f"/api/sessions/{started['sessionId']}").status_code == 204
    gone = [f"/api/sessions/{started['sessionId']}", f"/api/runs/{started['runId']}"]
    assert [api.get(path).status_code for path in gone] == [404, 404]
    assert answer_json(api.get("/api/sessions")) == {"items": []}
    assert api.post("/api/runs/start", {"prompt": "x", "sessionId": started["sessionId"]}).status_code == 404


def test_a_sessions_runs_are_listed_newest_first(api: Api) -> None:
    first = api.start("one")
    second = api.start("two", sessionId=first["sessionId"])
    page = answer_json(api.get(f"/api/sessions/{first['sessionId']}/runs"))
    assert [(run["runId"], run["queuePosition"]) for run in page["items"]] == [
        (second["runId"], 1),
        (first["runId"], 0),
    ]


def test_pages_of_a_log_show_every_event_once(api: Api) -> None:
    driver = api.bind()
    driver.report(*[driver.delta(str(i)) for i in range(10)])
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = answer_json(api.get(f"/api/sessions/{driver.session_id}/events?limit=5&after={after}"))
        seen += [event["seq"] for event in page["items"]]
        after = page.get("nextCursor")
    assert seen == list(range(1, 13))


@pytest.mark.parametrize("after", ["-1", "x", "1.5", str(2**63), ""])
@pytest.mark.parametrize("kind", ["sessions", "runs"])
def test_a_wrong_cursor_is_refused(api: Api, kind: str, after: str) -> None:
    driver = api.bind()
    path = {"sessions": f"/api/sessions/{driver.session_id}", "runs": f"/api/runs/{driver.run_id}"}[kind]
    assert api.get(f"{path}/events?after={after}").status_code == 422


@pytest.mark.parametrize("kind", ["sessions", "runs"])
def test_a_cursor_beyond_the_log_is_refused(api: Api, kind: str) -> None:
    driver = api.bind()
    path = {"sessions": f"/api/sessions/{driver.session_id}", "runs": f"/api/runs/{driver.run_id}"}[kind]
    answer = api.get(f"{path}/events?after=3")
    assert (answer.status_code, answer_json(answer)["code"]) == (409, "bad_cursor")


def test_a_session_takes_no_bound_run_beside_another(api: Api) -> None:
    driver = api.bind()
    body = {"provider": "x", "sessionId": str(driver.session_id)}
    answer = api.post(f"/api/runs/{uuid4()}/bind", body)
    assert (answer.status_code, answer_json(answer)["code"]) == (409, "session_busy")


def test_the_id_of_a_bound_run_is_taken_once(api: Api) -> None:
    driver = api.bind()
    answer = api.post(f"/api/runs/{driver.run_id}/bind", {"provider": "x"})
    assert (answer.status_code, answer_json(answer)["code"]) == (409, "run_exists")


def test_a_bound_runs_prompt_has_the_limit_of_any_prompt(api: Api) -> None:
    answer = api.post(f"/api/runs/{uuid4()}/bind", {"provider": "x", "prompt": "x" * 262_145})
    assert (answer.status_code, answer_json(answer)["code"]) == (413, "prompt_too_large")


def test_a_run_that_is_not_bound_has_no_key_to_rotate(api: Api) -> None:
    started = api.start()
    answer = api.post(f"/api/runs/{started['runId']}/bind/rotate")
    assert (answer.status_code, answer_json(answer)["code"]) == (409, "not_bound")


def test_the_providers_are_told_with_what_counts_now(api: Api) -> None:
    items = {item["name"]: item for item in answer_json(api.get("/api/providers"))["items"]}
    assert items["demo"]["capabilities"]["effective"] == {"humanLoop": True, "resume": True}
    assert (items["plain"]["ready"], items["plain"]["reason"]) == (False, "Its program is missing.")
    assert (items["plain"]["reasonCode"], items["plain"]["reasonValues"]) == ("program_missing", {"program": "plain"})
    assert "reasonCode" not in items["demo"]

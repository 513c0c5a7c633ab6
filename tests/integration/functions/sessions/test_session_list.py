"""A person's list of sessions says what runs, what waits for them, what is unread, and what it cost."""

from __future__ import annotations

import pytest

from schema.wire import Json
from tests.integration.functions.conftest import Api, answer_json


@pytest.fixture
def mia(api: Api, member: str) -> Api:
    return Api(api.client, member)


def row_of(api: Api, session_id: object) -> Json:
    return answer_json(api.get(f"/api/sessions/{session_id}"))


def listed(api: Api, query: str = "") -> list[str]:
    return [item["title"] for item in answer_json(api.get(f"/api/sessions?{query}"))["items"]]


def test_a_new_session_is_idle_and_saved(api: Api) -> None:
    session = answer_json(api.post("/api/sessions", {"title": "New"}))
    assert (session["status"], session["saved"]) == ("idle", {"isSaved": True, "unsavedFiles": 0})
    assert (session["unread"], session["needsMe"], session["queued"], session["pinned"]) == (0, 0, 0, False)
    assert session["usage"] == {"runs": 0, "cost": [], "withoutCost": 0}


def test_the_live_run_and_the_queue_are_in_the_row(api: Api) -> None:
    driver = api.bind()
    api.start("later", sessionId=str(driver.session_id))
    session = row_of(api, driver.session_id)
    assert (session["status"], session["live"]["runId"], session["queued"]) == ("running", str(driver.run_id), 1)
    assert session["last"] == {"type": "prompt", "text": "later"}


def test_a_queued_session_says_so(api: Api) -> None:
    started = api.start("hello")
    assert row_of(api, started["sessionId"])["status"] == "queued"
    assert listed(api, "status=queued") == ["hello"]
    assert listed(api, "status=idle") == []


def test_a_question_needs_me_and_is_the_last_word(api: Api) -> None:
    driver = api.bind()
    asked: Json = {"requestId": "0a4b7c4e-1f43-4c4c-8d3f-6f0f4c9d7a11", "kind": "question", "title": "Which port?"}
    status, _ = driver.report(
        {**driver.event("human_loop.requested"), "data": {**asked, "fingerprint": "f" * 64, "schema": {}}}
    )
    assert status == 200
    session = row_of(api, driver.session_id)
    assert (session["needsMe"], session["last"]) == (1, {"type": "question", "text": "Which port?"})
    assert len(listed(api, "needsMe=true")) == 1


def test_what_ended_is_unread_until_it_was_read(api: Api) -> None:
    driver = api.bind()
    driver.finish()
    session = row_of(api, driver.session_id)
    assert session["unread"] == 1
    path = f"/api/sessions/{driver.session_id}/read"
    assert api.client.put(path, json={"seq": session["lastSeq"]}, headers=api._headers({})).status_code == 204
    assert row_of(api, driver.session_id)["unread"] == 0
    api.client.put(path, json={"seq": 0}, headers=api._headers({}))
    assert row_of(api, driver.session_id)["readSeq"] == session["lastSeq"]
    api.client.put(path, json={"seq": 10**9}, headers=api._headers({}))
    assert row_of(api, driver.session_id)["readSeq"] == session["lastSeq"]


def test_tokens_and_costs_are_summed_and_what_is_unknown_is_left_out(api: Api) -> None:
    driver = api.bind()
    usage = {"inputTokens": 10, "outputTokens": 5, "cost": {"amount": 0.25, "currency": "USD", "source": "reported"}}
    driver.report(driver.event("run.finished", status="succeeded", stopReason="end_turn", usage=usage))
    second = api.bind(str(driver.session_id))
    second.report(second.event("run.finished", status="succeeded", usage={"inputTokens": 7}))
    used = row_of(api, driver.session_id)["usage"]
    assert (used["inputTokens"], used["outputTokens"], used["cost"]) == (17, 5, [{"currency": "USD", "amount": 0.25}])
    assert (used["runs"], used["withoutCost"], "cachedReadTokens" in used) == (2, 1, False)


def test_pins_and_the_archive_are_ones_own(api: Api) -> None:
    first, second = (answer_json(api.post("/api/sessions", {"title": title})) for title in ("first", "second"))
    api.patch(f"/api/sessions/{first['sessionId']}", {"pinned": True})
    api.patch(f"/api/sessions/{second['sessionId']}", {"archived": True})
    assert (listed(api), listed(api, "archived=true"), listed(api, "pinned=true")) == (["first"], ["second"], ["first"])
    api.patch(f"/api/sessions/{second['sessionId']}", {"archived": False, "title": "third"})
    assert listed(api) == ["third", "first"]


def test_search_finds_titles_and_prompts_and_takes_no_patterns(api: Api) -> None:
    api.start("mend the 100% parser")
    api.post("/api/sessions", {"title": "Notes"})
    assert listed(api, "q=NOTE") == ["Notes"]
    assert listed(api, "q=100%25 pars") == ["mend the 100% parser"]
    assert listed(api, "q=%25") == ["mend the 100% parser"]
    assert listed(api, "q=_") == []


def test_by_activity_the_session_where_something_happened_comes_first_in_pages(api: Api) -> None:
    drivers = [api.bind() for _ in range(3)]
    drivers[0].finish()
    page = answer_json(api.get("/api/sessions?sort=activity&limit=2"))
    rest = answer_json(api.get(f"/api/sessions?sort=activity&limit=2&cursor={page['nextCursor']}"))
    seen = [item["sessionId"] for item in page["items"] + rest["items"]]
    assert seen == [str(drivers[i].session_id) for i in (0, 2, 1)]


def test_nobody_marks_what_is_anothers(api: Api, mia: Api) -> None:
    session_id = api.start("mine")["sessionId"]
    assert mia.patch(f"/api/sessions/{session_id}", {"pinned": True}).status_code == 404
    answer = mia.client.put(f"/api/sessions/{session_id}/read", json={"seq": 1}, headers=mia._headers({}))
    assert answer.status_code == 404

"""Todos over the API: lists as they are, as a run left them, and what a run changed, page by page."""

from __future__ import annotations

from uuid import uuid4

import pytest

from schema.wire import Json
from tests.integration.functions.conftest import Api, Driver, answer_json

pytestmark = pytest.mark.both_postgres_in_full


def tell(driver: Driver, *items: tuple[str, str]) -> None:
    listed = [{"id": id_, "content": f"Do {id_}", "status": status, "priority": "high"} for id_, status in items]
    assert driver.report(driver.event("todo.update", groupId="g", title="Plan", items=listed))[0] == 200


def shown(api: Api, path: str) -> Json:
    return answer_json(api.get(path))


@pytest.fixture
def driver(api: Api) -> Driver:
    driver = api.bind()
    tell(driver, ("a", "pending"), ("b", "pending"))
    tell(driver, ("a", "completed"), ("b", "in_progress"))
    return driver


def test_a_list_is_shown_with_who_changed_what(api: Api, driver: Driver) -> None:
    [group] = shown(api, f"/api/runs/{driver.run_id}/todos")["groups"]
    assert (group["groupId"], group["title"], group["provider"]) == ("g", "Plan", "elsewhere")
    assert group["runId"] == str(driver.run_id)
    assert [(item["id"], item["content"], item["status"], item["priority"]) for item in group["items"]] == [
        ("a", "Do a", "completed", "high"),
        ("b", "Do b", "in_progress", "high"),
    ]
    assert {item["runId"] for item in group["items"]} == {str(driver.run_id)}


def test_a_session_shows_what_is_and_an_ended_run_what_it_left(api: Api, driver: Driver) -> None:
    left = shown(api, f"/api/runs/{driver.run_id}/todos")
    driver.finish()
    later = api.bind(str(driver.session_id))
    tell(later, ("a", "completed"), ("b", "completed"))
    assert shown(api, f"/api/runs/{driver.run_id}/todos") == left
    now = shown(api, f"/api/sessions/{driver.session_id}/todos")
    assert now == shown(api, f"/api/runs/{later.run_id}/todos")
    assert [(item["status"], item["runId"]) for item in now["groups"][0]["items"]] == [
        ("completed", str(driver.run_id)),
        ("completed", str(later.run_id)),
    ]


def test_pages_of_changes_show_each_once(api: Api, driver: Driver) -> None:
    tell(driver, ("b", "completed"))
    seen: list[Json] = []
    after: int | None = 0
    while after is not None:
        page = shown(api, f"/api/runs/{driver.run_id}/todos/events?limit=2&after={after}")
        seen += page["items"]
        after = page.get("nextCursor")
    assert [(change["itemId"], change.get("from"), change["to"]) for change in seen] == [
        *(("a", None, "pending"), ("b", None, "pending")),
        *(("a", "pending", "completed"), ("b", "pending", "in_progress")),
        *(("b", "in_progress", "completed"), ("a", "completed", "dropped")),
    ]
    assert [change["seq"] for change in seen] == sorted(change["seq"] for change in seen)


def test_a_sessions_history_goes_back_over_its_runs(api: Api, driver: Driver) -> None:
    driver.finish()
    later = api.bind(str(driver.session_id))
    tell(later, ("a", "completed"), ("b", "completed"))
    path = f"/api/sessions/{driver.session_id}/todos/events"
    newest = shown(api, f"{path}?limit=2")
    older = shown(api, f"{path}?before={newest['nextCursor']}")["items"]
    changes = newest["items"] + older
    assert [(change["itemId"], change["to"], change["runId"]) for change in changes] == [
        ("b", "completed", str(later.run_id)),
        *(("b", "in_progress", str(driver.run_id)), ("a", "completed", str(driver.run_id))),
        *(("b", "pending", str(driver.run_id)), ("a", "pending", str(driver.run_id))),
    ]


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=1001", "nope=1"])
def test_a_bad_page_is_refused(api: Api, driver: Driver, query: str) -> None:
    assert api.get(f"/api/runs/{driver.run_id}/todos/events?{query}").status_code == 422


def test_nobody_elses_todos_are_shown(api: Api, driver: Driver, member: str) -> None:
    run, session = f"/api/runs/{driver.run_id}/todos", f"/api/sessions/{driver.session_id}/todos"
    other = Api(api.client, member)
    paths = (run, f"{run}/events", session, f"{session}/events")
    assert [other.get(path).status_code for path in paths] == [404, 404, 404, 404]
    assert api.get(f"/api/sessions/{uuid4()}/todos").status_code == 404


def test_a_session_without_todos_has_none(api: Api) -> None:
    started = api.start()
    assert shown(api, f"/api/sessions/{started['sessionId']}/todos") == {"groups": []}
    assert shown(api, f"/api/runs/{started['runId']}/todos/events") == {"items": []}

"""Requests are listed open and closed, and say who may decide; suggested rules are accepted as they are."""

from __future__ import annotations

from uuid import uuid4

import pytest

from schema.wire import Json
from tests.integration.functions.conftest import Api, Driver, answer_json

OPTIONS = [{"optionId": "yes", "name": "Allow", "kind": "allow_once"}]


def ask(driver: Driver, command: str = "git status") -> str:
    request_id = str(uuid4())
    told = driver.event(
        "human_loop.requested",
        requestId=request_id,
        kind="permission",
        title=f"Run {command}",
        fingerprint="f",
        options=OPTIONS,
        toolCall={"toolCallId": "c", "kind": "execute", "input": {"command": command}},
    )
    assert driver.report(told)[0] == 200
    return request_id


def listed(api: Api, query: str = "") -> list[Json]:
    items: list[Json] = answer_json(api.get(f"/api/human-loop?{query}"))["items"]
    return items


@pytest.mark.both_postgres_in_full
def test_open_and_closed_requests_are_listed_newest_first_in_pages(api: Api) -> None:
    driver = api.bind()
    first, second, third = (ask(driver) for _ in range(3))
    api.post("/api/human-loop/reply", {"requestId": first, "decision": "allow"})
    assert [item["requestId"] for item in listed(api)] == [third, second, first]
    assert [item["requestId"] for item in listed(api, "status=open")] == [third, second]
    [closed] = listed(api, f"status=closed&sessionId={driver.session_id}")
    assert (closed["requestId"], closed["mayDecide"], closed["decidedBy"][:5]) == (first, False, "user:")
    assert [item.get("decision") for item in listed(api)] == [None, None, "allow"]
    page = answer_json(api.get("/api/human-loop?limit=2"))
    rest = answer_json(api.get(f"/api/human-loop?limit=2&cursor={page['nextCursor']}"))
    assert [item["requestId"] for item in page["items"] + rest["items"]] == [third, second, first]


def test_a_token_that_may_only_read_may_not_decide(api: Api) -> None:
    request_id = ask(api.bind())
    made = answer_json(api.post("/api/me/tokens", {"label": "reader", "scopes": ["human_loop:read"]}))
    assert [item["mayDecide"] for item in listed(api)] == [True]
    assert [(item["requestId"], item["mayDecide"]) for item in listed(Api(api.client, made["token"]))] == [
        (request_id, False)
    ]


def test_another_sees_neither_requests_nor_their_session(api: Api, member: str) -> None:
    driver = api.bind()
    ask(driver)
    mia = Api(api.client, member)
    assert listed(mia) == []
    assert mia.get(f"/api/human-loop?sessionId={driver.session_id}").status_code == 404


def test_an_unknown_status_is_refused(api: Api) -> None:
    assert api.get("/api/human-loop?status=broken").status_code == 422


def test_the_narrowest_suggested_rule_answers_the_same_call_next_time(api: Api) -> None:
    driver = api.bind()
    request_id = ask(driver)
    rules = answer_json(api.get(f"/api/human-loop/{request_id}/rules"))["items"]
    assert [rule.get("commandPattern") for rule in rules] == ["git status", "git *", None]
    assert api.post("/api/human-loop/rules", rules[0]).status_code == 201
    again, other = ask(driver), ask(driver, "git push")
    by_id = {item["requestId"]: item for item in listed(api)}
    assert (by_id[again]["status"], by_id[again]["decidedBy"][:5], by_id[other]["status"]) == (
        "answered",
        "rule:",
        "open",
    )


def test_the_options_of_a_provider_are_what_it_declares(api: Api) -> None:
    assert answer_json(api.get("/api/providers/demo/options")) == {
        "models": {"items": [], "free": True, "source": "none"},
        "modes": ["ask", "auto"],
        "sandbox": [],
    }
    for name in ("strange", "a%00b"):
        assert api.get(f"/api/providers/{name}/options").status_code == 404
    problem = answer_json(api.get(f"/api/providers/{'x' * 10_000}/options"))
    assert problem["code"] == "unknown_provider"
    assert "named " + "x" * 100 + ". Known: " in problem["detail"]

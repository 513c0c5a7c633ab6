"""Forms and patterns of any size are judged in linear time, and the limits of both are told."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest

from handlers.human_loop.approval_rules import MOST_JUDGED, MOST_RULES_OF_AN_APP
from handlers.human_loop.tool_paths import LONGEST_PATH
from handlers.patterns import LONGEST_TEXT
from schema.approval_rules import LONGEST_COMMAND_PATTERN, LONGEST_PATTERN
from schema.events import LONGEST_FINGERPRINT, LONGEST_OPTION_ID, LONGEST_OPTION_NAME, MOST_OPTIONS
from schema.forms import MOST_CHOICES
from schema.wire import Json
from tests.integration.functions.conftest import Api, Driver, answer_json

RULES = "/api/human-loop/rules"


@pytest.fixture
def driver(api: Api) -> Driver:
    return api.bind()


def permission(driver: Driver, tool_call: Json, *, options: int = 1) -> Json:
    offered = [{"optionId": f"a{i}", "name": "Yes", "kind": "allow_once"} for i in range(options)]
    asked: Json = {"requestId": str(uuid4()), "kind": "permission", "title": "t", "fingerprint": "f"}
    return driver.event("human_loop.requested", **asked, options=offered, toolCall=tool_call)


def status(api: Api, asked: Json) -> str:
    return str(answer_json(api.get(f"/api/human-loop/{asked['data']['requestId']}"))["status"])


def status_of(api: Api, driver: Driver, tool_call: Json) -> str:
    asked = permission(driver, tool_call)
    assert driver.report(asked)[0] == 200
    return status(api, asked)


def runs(command: str) -> Json:
    return {"kind": "execute", "input": {"command": command}}


def question(api: Api, choices: int) -> tuple[str, int, Json]:
    driver, request_id = api.bind(), str(uuid4())
    form = {"properties": {"a": {"type": "array", "items": {"enum": [f"v{i}" for i in range(choices)]}}}}
    asked: Json = {"requestId": request_id, "kind": "question", "title": "t", "fingerprint": "f", "schema": form}
    return request_id, *driver.report(driver.event("human_loop.requested", **asked))


def test_a_command_too_long_for_rules_is_asked_not_denied(api: Api, driver: Driver) -> None:
    api.post(RULES, {"effect": "deny", "userId": "me", "commandPattern": "*" + "a" * (LONGEST_PATTERN - 2) + "b"})
    api.post(RULES, {"effect": "allow", "userId": "me"})
    assert status_of(api, driver, runs("a" * 1000 + "b")) == "answered"
    assert status_of(api, driver, runs("a" * LONGEST_TEXT + "b")) == "open"
    assert status_of(api, driver, runs("a" * 6_000_000)) == "open"


def test_a_path_too_long_for_rules_is_asked(api: Api, driver: Driver) -> None:
    api.post(RULES, {"effect": "deny", "userId": "me", "pathPattern": "**/b"})
    longest = "a/" * ((LONGEST_PATH - 2) // 2) + "b"
    assert status_of(api, driver, {"kind": "edit", "locations": [{"path": longest}]}) == "answered"
    assert status_of(api, driver, {"kind": "edit", "locations": [{"path": "a/" * 500_000 + "b"}]}) == "open"


def test_rules_judge_so_many_requests_of_a_callback(api: Api, driver: Driver) -> None:
    api.post(RULES, {"effect": "deny", "userId": "me"})
    asked = [permission(driver, runs("ls")) for _ in range(MOST_JUDGED + 1)]
    assert driver.report(*asked)[0] == 200
    assert [status(api, each) for each in (asked[0], asked[-2], asked[-1])] == ["answered", "answered", "open"]


@pytest.mark.parametrize(
    ("name", "most", "first"),
    [
        ("commandPattern", LONGEST_COMMAND_PATTERN, "*"),
        ("commandPattern", LONGEST_PATTERN, "?"),
        ("pathPattern", LONGEST_PATTERN, "a"),
    ],
)
def test_a_pattern_at_the_limit_and_one_beyond(api: Api, name: str, most: int, first: str) -> None:
    rule = {"effect": "deny", "userId": "me"}
    assert api.post(RULES, {**rule, name: first + "a" * (most - 1)}).status_code == 201
    assert api.post(RULES, {**rule, name: first + "a" * most}).status_code == 422


def test_a_rule_with_a_long_pattern_holds_up_nobody(api: Api, driver: Driver) -> None:
    pattern = "*" + "a" * 1000 + "b"
    assert api.post(RULES, {"effect": "deny", "userId": "me", "commandPattern": pattern}).status_code == 201
    assert status_of(api, driver, runs("a" * 600_000)) == "open"
    assert status_of(api, driver, runs("a" * 1500 + "b")) == "answered"
    assert status_of(api, driver, runs("a" * 1500)) == "open"


def test_rules_for_everyone_at_the_limit_and_one_beyond(api: Api) -> None:
    answers = [api.post(RULES, {"effect": "ask", "pathPattern": "a"}) for _ in range(MOST_RULES_OF_AN_APP + 1)]
    assert {answer.status_code for answer in answers[:-1]} == {201}
    assert (answers[-1].status_code, answer_json(answers[-1])["code"]) == (409, "too_many_rules")


def test_options_of_a_permission_at_the_limit_and_one_beyond(api: Api, driver: Driver) -> None:
    asked = permission(driver, runs("ls"), options=MOST_OPTIONS)
    assert driver.report(asked)[0] == 200
    beyond, problem = driver.report(permission(driver, runs("ls"), options=MOST_OPTIONS + 1))
    assert (beyond, problem["code"]) == (422, "bad_event_data")
    assert str(MOST_OPTIONS) in problem["detail"]
    pending = answer_json(api.get("/api/human-loop/pending"))["items"]
    assert [(item["requestId"], len(item["options"])) for item in pending] == [
        (asked["data"]["requestId"], MOST_OPTIONS)
    ]


def test_a_text_of_a_request_at_its_length_and_one_beyond(api: Api, driver: Driver) -> None:
    def asks(*, id_length: int = 1, name_length: int = 1, fingerprint_length: int = 1) -> str | tuple[int, str]:
        option = {"optionId": "i" * id_length, "name": "n" * name_length, "kind": "allow_once"}
        asked: Json = {"requestId": str(uuid4()), "kind": "permission", "title": "t", "options": [option]}
        event = driver.event("human_loop.requested", **asked, fingerprint="f" * fingerprint_length)
        answered, problem = driver.report(event)
        driver.n -= answered != 200
        return str(asked["requestId"]) if answered == 200 else (answered, problem["code"])

    def option_of(request_id: str | tuple[int, str]) -> Json:
        option: Json = answer_json(api.get(f"/api/human-loop/{request_id}"))["options"][0]
        return option

    assert option_of(asks(id_length=LONGEST_OPTION_ID))["optionId"] == "i" * LONGEST_OPTION_ID
    assert asks(id_length=LONGEST_OPTION_ID + 1) == (422, "bad_event_data")
    assert option_of(asks(name_length=LONGEST_OPTION_NAME))["name"] == "n" * LONGEST_OPTION_NAME
    assert option_of(asks(name_length=LONGEST_OPTION_NAME + 1))["name"] == "n" * (LONGEST_OPTION_NAME - 1) + "…"
    assert isinstance(asks(fingerprint_length=LONGEST_FINGERPRINT), str)
    assert asks(fingerprint_length=LONGEST_FINGERPRINT + 1) == (422, "bad_event_data")


def test_a_form_at_the_limit_is_answered_and_one_beyond_is_refused(api: Api) -> None:
    request_id, asked, _ = question(api, MOST_CHOICES)
    answers = {"a": [f"v{MOST_CHOICES - 1}"] * MOST_CHOICES}
    answer = api.post("/api/human-loop/reply", {"requestId": request_id, "decision": "answer", "answers": answers})
    assert (asked, answer.status_code) == (200, 200)
    _, asked, problem = question(api, MOST_CHOICES + 1)
    assert (asked, problem["code"]) == (422, "form_too_large")


def test_answers_are_checked_before_the_session_is_locked(api: Api, conn: psycopg.Connection) -> None:
    request_id, _, _ = question(api, 2)
    reply = {"requestId": request_id, "decision": "answer", "answers": {"a": ["other"]}}
    with conn.transaction():
        conn.execute("SELECT 1 FROM session_logs FOR UPDATE")
        answer = api.post("/api/human-loop/reply", reply)
    assert (answer.status_code, answer_json(answer)["code"]) == (422, "answers_do_not_fit")

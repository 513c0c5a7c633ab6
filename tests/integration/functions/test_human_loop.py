"""What an agent asks reaches its user, and is answered once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.integration.functions.conftest import Api, Driver, answer_json

pytestmark = pytest.mark.both_postgres
REPLY = "/api/human-loop/reply"
OPTIONS = [
    {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
    {"optionId": "no", "name": "Reject", "kind": "reject_once"},
]


@pytest.fixture
def driver(api: Api) -> Driver:
    return api.bind()


@pytest.fixture
def asked(driver: Driver) -> str:
    """The id of an open permission request."""
    request_id = str(uuid4())
    told = driver.event(
        "human_loop.requested",
        requestId=request_id,
        kind="permission",
        title="Write a file?",
        fingerprint="f",
        options=OPTIONS,
    )
    assert driver.report(told)[0] == 200
    return request_id


def test_what_is_asked_is_pending(api: Api, driver: Driver, asked: str) -> None:
    for path in ("/api/human-loop/pending", f"/api/human-loop/pending?sessionId={driver.session_id}"):
        [item] = answer_json(api.get(path))["items"]
        assert (item["requestId"], item["title"], item["status"]) == (asked, "Write a file?", "open")
    assert answer_json(api.get(f"/api/runs/{driver.run_id}"))["status"] == "waiting"


def test_an_answer_is_stored_and_its_delivery_deferred(
    api: Api, driver: Driver, asked: str, conn: psycopg.Connection
) -> None:
    answer = api.post(REPLY, {"requestId": asked, "decision": "deny", "reason": "not now"})
    assert (answer.status_code, answer_json(answer)) == (200, {"requestId": asked, "status": "answered"})
    assert conn.execute("SELECT task_name FROM procrastinate_jobs").fetchall() == [("deliver_answer",)]
    resolved = answer_json(api.get(f"/api/runs/{driver.run_id}/events"))["items"][-2]
    assert (resolved["type"], resolved["data"]["decision"]) == ("human_loop.resolved", "deny")
    assert resolved["data"]["by"] == resolved["author"]


def test_of_ten_answers_one_counts(api: Api, asked: str) -> None:
    def reply(_: int) -> int:
        own = Api(api.client.application.test_client())
        return own.post(REPLY, {"requestId": asked, "decision": "allow"}).status_code

    with ThreadPoolExecutor(10) as pool:
        assert sorted(pool.map(reply, range(10))) == [200, *[409] * 9]


def test_a_second_answer_tells_how_it_stands(api: Api, asked: str) -> None:
    api.post(REPLY, {"requestId": asked, "decision": "allow"})
    problem = answer_json(api.post(REPLY, {"requestId": asked, "decision": "deny"}))
    assert (problem["code"], problem["requestStatus"]) == ("already_answered", "answered")


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"decision": "perhaps"}, 422, "invalid"),
        ({"decision": "answer", "answers": {}}, 422, "decision_does_not_fit"),
        ({"decision": "allow", "optionId": "maybe"}, 422, "unknown_option"),
        ({"decision": "allow", "optionId": "no"}, 422, "decision_does_not_fit"),
        ({"decision": "allow", "arguments": {"path": "x"}}, 409, "capability_missing"),
        ({"decision": "allow_always"}, 409, "capability_missing"),
        ({"decision": "allow", "requestId": str(UUID(int=7))}, 404, "unknown_request"),
        ({}, 422, "invalid"),
    ],
)
def test_an_answer_that_does_not_fit_leaves_the_question_open(
    api: Api, asked: str, more: dict[str, object], status: int, code: str
) -> None:
    answer = api.post(REPLY, {"requestId": asked, **more})
    assert (answer.status_code, answer_json(answer)["code"]) == (status, code)
    assert len(answer_json(api.get("/api/human-loop/pending"))["items"]) == 1

"""What an agent asks reaches its user, and is answered once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest

from schema.wire import Json
from tests.integration.functions.conftest import Api, Driver, answer_json

pytestmark = pytest.mark.both_postgres_in_full
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


QUESTION = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}, "count": {"type": "integer", "minimum": 1}},
    "required": ["colour"],
}


@pytest.fixture
def question(driver: Driver) -> str:
    """The id of an open question with a form."""
    request_id = str(uuid4())
    asking: Json = {
        "requestId": request_id,
        "kind": "question",
        "title": "Which?",
        "fingerprint": "f",
        "schema": QUESTION,
    }
    assert driver.report(driver.event("human_loop.requested", **asking))[0] == 200
    return request_id


@pytest.mark.parametrize(
    ("answers", "where"),
    [
        ({}, "answers.colour"),
        ({"colour": "green"}, "answers.colour"),
        ({"colour": "red", "count": "2"}, "answers.count"),
        ({"colour": "red", "count": 0}, "answers.count"),
        ({"colour": "red", "size": 1}, "answers.size"),
    ],
)
def test_an_answer_that_does_not_fit_its_form_names_the_field(
    api: Api, question: str, answers: dict[str, object], where: str
) -> None:
    answer = api.post(REPLY, {"requestId": question, "decision": "answer", "answers": answers})
    problem = answer_json(answer)
    assert (answer.status_code, problem["code"]) == (422, "answers_do_not_fit")
    assert [error["where"] for error in problem["errors"]] == [where]
    assert answer_json(api.get(f"/api/human-loop/{question}"))["status"] == "open"


def test_an_answer_that_fits_its_form_is_stored(api: Api, question: str) -> None:
    answers = {"colour": "red", "count": 2}
    assert api.post(REPLY, {"requestId": question, "decision": "answer", "answers": answers}).status_code == 200
    assert answer_json(api.get(f"/api/human-loop/{question}"))["answer"]["answers"] == answers


def test_a_request_is_shown_with_what_it_is_about(api: Api, driver: Driver) -> None:
    call = {"toolCallId": "t", "kind": "edit", "diffs": [{"path": "a", "oldText": None, "newText": "b"}]}
    asking: Json = {
        "requestId": str(uuid4()),
        "kind": "permission",
        "title": "Write a",
        "fingerprint": "f",
        "options": OPTIONS,
    }
    driver.report(driver.event("human_loop.requested", **asking, toolCall=call))
    [item] = answer_json(api.get("/api/human-loop/pending"))["items"]
    assert (item["diffs"], item["options"], item["runStatus"]) == (call["diffs"], OPTIONS, "waiting")
    assert item["sessionTitle"] == answer_json(api.get(f"/api/sessions/{driver.session_id}"))["title"]


def test_a_request_tells_who_decided_what_and_when(api: Api, driver: Driver, asked: str) -> None:
    api.post(REPLY, {"requestId": asked, "decision": "deny", "reason": "not now"})
    driver.report(driver.event("human_loop.applied", requestId=asked, outcome="applied", told="Reject (no)"))
    found = answer_json(api.get(f"/api/human-loop/{asked}"))
    assert (found["status"], found["answer"]["decision"], found["told"]) == ("applied", "deny", "Reject (no)")
    types = ["human_loop.requested", "human_loop.resolved", "human_loop.applied"]
    assert [event["type"] for event in found["history"]] == types
    assert found["decidedBy"] == found["history"][1]["data"]["by"]
    assert found["decidedAt"] <= found["settledAt"]


@pytest.mark.parametrize(("role", "to"), [("member", "user"), ("member", "role:member"), ("operator", "role:member")])
def test_whom_it_is_escalated_to_sees_and_answers_it_too(
    api: Api, member: str, asked: str, conn: psycopg.Connection, role: str, to: str
) -> None:
    mia = Api(api.client, member)
    row = conn.execute("UPDATE users SET role = %s WHERE name = 'mia' RETURNING id", (role,)).fetchone()
    assert row is not None
    named = f"user:{row[0]}" if to == "user" else to
    conn.execute("UPDATE human_requests SET escalate_to = %s", (named,))
    assert answer_json(mia.get("/api/human-loop/pending"))["items"] == []
    conn.execute("UPDATE human_requests SET escalated_at = now()")
    for each in (mia, api):
        [item] = answer_json(each.get("/api/human-loop/pending"))["items"]
        assert (item["requestId"], item["escalatedTo"]) == (asked, named)
    assert mia.post(REPLY, {"requestId": asked, "decision": "allow"}).status_code == 200
    assert answer_json(api.get(f"/api/human-loop/{asked}"))["decidedBy"] == f"user:{row[0]}"
    assert api.post(REPLY, {"requestId": asked, "decision": "deny"}).status_code == 409


@pytest.mark.parametrize("to", ["role:operator", "role:admin", "user:00000000-0000-0000-0000-000000000001"])
def test_what_is_escalated_to_others_stays_theirs(
    api: Api, member: str, asked: str, driver: Driver, conn: psycopg.Connection, to: str
) -> None:
    mia = Api(api.client, member)
    conn.execute("UPDATE human_requests SET escalate_to = %s, escalated_at = now()", (to,))
    assert answer_json(mia.get("/api/human-loop/pending"))["items"] == []
    assert mia.get(f"/api/human-loop/pending?sessionId={driver.session_id}").status_code == 404
    assert mia.get(f"/api/human-loop/{asked}").status_code == 404
    assert mia.post(REPLY, {"requestId": asked, "decision": "allow"}).status_code == 404

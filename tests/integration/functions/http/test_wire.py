"""What holds for every call: problems keep their members, ids are checked, pages have cursors, times end in `Z`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest
from flask import Flask

from functions.http.problems import problem
from schema.wire import Json
from tests.integration.functions.conftest import Api, Driver, answer_json

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")


def test_extension_members_never_overwrite_those_of_every_problem() -> None:
    members = {"status": 200, "code": "fine", "type": "x", "title": "x", "detail": "x", "traceId": "x", "paths": ["a"]}
    with Flask(__name__).test_request_context():
        body = answer_json(problem(409, code="conflict", detail="It is busy.", members=members))  # type: ignore[arg-type]
    assert (body["status"], body["code"], body["detail"]) == (409, "conflict", "It is busy.")
    assert (body["type"], body["title"], body["traceId"]) == ("urn:runyard:problem:conflict", "Conflict", "")
    assert body["paths"] == ["a"]


@pytest.mark.parametrize(
    "path",
    ["/api/runs/zzz", "/api/sessions/1/runs", "/api/human-loop/{urn}", "/api/session-workers/none", "/api/why/runs/7"],
)
def test_a_malformed_id_in_a_path_is_invalid(api: Api, path: str) -> None:
    answer = api.get(path.format(urn=uuid4().urn))
    assert (answer.status_code, answer_json(answer)["code"]) == (422, "invalid_id")


def test_a_malformed_id_in_a_query_or_body_is_invalid(api: Api) -> None:
    answers = [
        api.get("/api/human-loop/pending?sessionId=7"),
        api.post("/api/runs/start", {"prompt": "x", "sessionId": "zzz"}),
        api.post("/api/human-loop/reply", {"requestId": 7, "decision": "allow"}),
    ]
    assert [(answer.status_code, answer_json(answer)["code"]) for answer in answers] == [(422, "invalid_id")] * 3


def test_a_body_that_is_wrong_in_more_than_its_ids_is_invalid(api: Api) -> None:
    answer = api.post("/api/runs/start", {"prompt": "", "sessionId": "zzz"})
    assert (answer.status_code, answer_json(answer)["code"]) == (422, "invalid")


def test_a_text_that_is_too_long_is_told_its_longest_length(api: Api) -> None:
    refused = api.get(f"/api/sessions?q={'x' * 201}")
    assert (refused.status_code, answer_json(refused)["detail"]) == (
        422,
        "query.q: Value should have a length of at most 200",
    )


def test_a_wrong_method_is_told_before_a_malformed_id(api: Api) -> None:
    assert [api.get(path).status_code for path in ("/api/runs/start", "/api/session-workers/cleanup/idle")] == [
        405,
        405,
    ]


def test_a_path_that_no_route_has_is_still_not_found(api: Api) -> None:
    answer = api.get(f"/api/runs/{UUID(int=7)}/nothing")
    assert (answer.status_code, answer_json(answer)["code"]) == (404, "no_such_route")


def test_pending_requests_come_in_pages(api: Api) -> None:
    driver = api.bind()
    asked = [str(uuid4()) for _ in range(3)]
    for request_id in asked:
        request = driver.event(
            "human_loop.requested", requestId=request_id, kind="question", title="Which?", fingerprint=request_id
        )
        assert driver.report(request)[0] == 200
    assert [item["requestId"] for page in pages(api, "/api/human-loop/pending?limit=2") for item in page] == asked
    assert [len(page) for page in pages(api, "/api/human-loop/pending?limit=2")] == [2, 1]


def test_workers_come_in_pages(api: Api, conn: psycopg.Connection) -> None:
    sessions = sorted(api.start()["sessionId"] for _ in range(3))
    for session_id in sessions:
        conn.execute(
            "INSERT INTO session_workers (session_id, status, epoch, host) VALUES (%s, 'stopped', 1, 'local')",
            (session_id,),
        )
    found = list(pages(api, "/api/session-workers?limit=2"))
    assert [[item["sessionId"] for item in page] for page in found] == [sessions[:2], sessions[2:]]


@pytest.mark.parametrize("path", ["/api/human-loop/pending", "/api/session-workers"])
def test_a_page_has_a_limit_and_a_cursor_that_fits(api: Api, path: str) -> None:
    assert [api.get(f"{path}?{query}").status_code for query in ("limit=0", "limit=501", "cursor=x")] == [422] * 3


def test_times_end_in_z_whatever_the_servers_time_zone(conn: psycopg.Connection, database: str, api: Api) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    conn.execute(f"ALTER DATABASE \"{name}\" SET timezone = 'Asia/Tokyo'")
    with psycopg.connect(database) as fresh:
        assert fresh.execute("SHOW timezone").fetchall() == [("UTC",)]
    driver = api.bind()
    report_and_finish(driver)
    answers = [
        answer_json(api.get(path))
        for path in (
            f"/api/runs/{driver.run_id}",
            f"/api/runs/{driver.run_id}/events",
            f"/api/sessions/{driver.session_id}",
            f"/api/why/runs/{driver.run_id}",
        )
    ]
    times = [text for answer in answers for text in texts(answer) if TIME.match(text)]
    assert len(times) > 5
    assert [text for text in times if not text.endswith("Z")] == []


def report_and_finish(driver: Driver) -> None:
    assert driver.report(driver.delta("said"))[0] == 200
    driver.finish()


def pages(api: Api, path: str) -> Iterator[list[Json]]:
    cursor = ""
    while True:
        page = answer_json(api.get(path + cursor))
        if page["items"]:
            yield page["items"]
        if "nextCursor" not in page:
            return
        cursor = f"&cursor={page['nextCursor']}"


def texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(inner)

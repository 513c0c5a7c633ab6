"""The same app answers API Gateway's version 2 events, with one connection and no thread of its own."""

from __future__ import annotations

import base64
import json
import threading
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from functions.faas import Handler, make_handler
from functions.runtime.settings import ApiSettings
from schema.wire import Json
from tests.integration.functions.conftest import TOKEN, Driver, driver_of

pytestmark = pytest.mark.both_postgres_in_full


def event(method: str, path: str, body: bytes | None = None, query: str = "", **headers: str) -> Json:
    """As API Gateway sends it for an HTTP API (payload format 2.0)."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {
            "host": "api.example",
            "x-forwarded-proto": "https",
            "x-forwarded-port": "443",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        },
        "requestContext": {
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "t",
            },
            "stage": "$default",
        },
        "body": None if body is None else base64.b64encode(body).decode(),
        "isBase64Encoded": body is not None,
    }


@pytest.fixture
def handler(settings: ApiSettings, provided: None) -> Handler:  # noqa: ARG001  for what it does
    return make_handler(settings)


def call(handler: Handler, method: str, path: str, body: object = None, query: str = "", **headers: str) -> Any:
    raw = None if body is None else json.dumps(body).encode()
    sent = {"authorization": f"Bearer {TOKEN}", "content_type": "application/json", **headers}
    return handler(event(method, path, raw, query, **sent), None)


@pytest.fixture
def driver(handler: Handler) -> Driver:
    bound = call(handler, "POST", f"/api/runs/{uuid4()}/bind", {"provider": "elsewhere"})

    def send(path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Json]:
        answer = handler(event("POST", path, body, **headers), None)
        return answer["statusCode"], json.loads(answer["body"])

    assert bound["statusCode"] == 201
    return driver_of(json.loads(bound["body"]), send)


def test_a_run_is_started(handler: Handler) -> None:
    answer = call(handler, "POST", "/api/runs/start", {"prompt": "hello"})
    assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (202, "queued")
    assert answer["headers"]["content-type"] == "application/json"


def test_a_run_is_driven_and_read(handler: Handler, driver: Driver) -> None:
    assert driver.report(driver.delta("ü"))[0] == 200
    assert driver.finish()[0] == 200
    page = call(handler, "GET", f"/api/runs/{driver.run_id}/events", query="after=2")
    assert [each["type"] for each in json.loads(page["body"])["items"]] == ["message.delta", "run.finished"]


def test_a_stream_is_one_page_and_when_to_come_back(handler: Handler, driver: Driver) -> None:
    driver.report(driver.delta("x"))
    answer = call(handler, "GET", f"/api/runs/{driver.run_id}/stream", query="cursor=1")
    lines = answer["body"].splitlines()
    assert lines[0].startswith("retry: ")
    assert [line for line in lines if line.startswith("id: ")] == ["id: 2", "id: 3"]


def test_a_wait_ends_without_a_watch(handler: Handler) -> None:
    answer = call(handler, "POST", "/api/runs/start", {"prompt": "x"}, prefer="wait=1")
    assert answer["statusCode"] == 202


def test_an_error_answer_is_not_base64_encoded(handler: Handler) -> None:
    answer = call(handler, "POST", "/api/runs/start", {"prompt": ""})
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (422, False)
    assert json.loads(answer["body"])["code"] == "invalid"


def test_readers_of_resident_servers_get_the_hint(driver: Driver, conn: psycopg.Connection) -> None:
    conn.execute("LISTEN runyard_log")
    driver.report(driver.delta("x"))
    [notify] = conn.notifies(timeout=5, stop_after=1)
    assert notify.payload == f"{driver.session_id}:3"


def test_a_function_begins_no_thread(handler: Handler, driver: Driver) -> None:
    before = threading.active_count()
    driver.report(driver.delta("x"))
    call(handler, "GET", "/ready")
    assert threading.active_count() == before


def test_a_function_is_ready_with_its_database(handler: Handler) -> None:
    answer = call(handler, "GET", "/ready")
    assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (200, "ready")


def test_a_connection_that_was_ended_meanwhile_is_replaced(handler: Handler, conn: psycopg.Connection) -> None:
    call(handler, "GET", "/api/sessions")
    conn.execute(
        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()"""
    )
    assert call(handler, "GET", "/api/sessions")["statusCode"] == 200


def test_a_function_refuses_websockets(handler: Handler, driver: Driver) -> None:
    answer = call(
        handler,
        "GET",
        f"/api/sessions/{driver.session_id}/ws",
        connection="Upgrade",
        upgrade="websocket",
        sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==",
        sec_websocket_version="13",
    )
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (503, "no_websockets")

"""The executor port serves callbacks of runs, and tells everyone else so by a problem."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import run_wsgi_app

from functions.callbacks.executor_port import ExecutorPort

CALLBACK = "/api/runs/00000000-0000-0000-0000-000000000000/callbacks"


def app(_wsgi: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"the app"]


@pytest.fixture
def accepted() -> Iterator[socket.socket]:
    """A connection that a peer has made."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as connection,
    ):
        yield connection


def asked(method: str, path: str, connection: socket.socket) -> tuple[str, bytes, str]:
    """The status, content and content type that a peer of the executor port gets."""
    guarded = ExecutorPort(app, host="127.0.0.1", port=connection.getsockname()[1])
    wsgi = {"REQUEST_METHOD": method, "PATH_INFO": path, "gunicorn.socket": connection}
    content, status, headers = run_wsgi_app(guarded, wsgi)
    return status, b"".join(content), headers.get("Content-Type", "")


def test_a_callback_reaches_the_app(accepted: socket.socket) -> None:
    assert asked("POST", CALLBACK, accepted)[1] == b"the app"


@pytest.mark.parametrize(("method", "path"), [("GET", CALLBACK), ("GET", "/api/me"), ("POST", "/sign-out")])
def test_all_else_is_a_problem_with_every_member(accepted: socket.socket, method: str, path: str) -> None:
    status, content, content_type = asked(method, path, accepted)
    problem = json.loads(content)
    assert (status, content_type) == ("404 Not Found", "application/problem+json")
    assert problem["detail"] == "This port serves only callbacks of runs."
    assert (problem["type"], problem["code"]) == ("urn:runyard:problem:no_such_route", "no_such_route")
    assert len(problem["traceId"]) == 32

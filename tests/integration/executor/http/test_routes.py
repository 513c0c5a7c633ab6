"""The executor's HTTP edge: who may call, what may be sent, how refusals read."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from schema.secret_keys import credential_id
from tests.integration.executor.conftest import ROOT, TOKEN, Worker

SECRET_KEY = "whsec_c2VjcmV0LWtleS10aGF0LW11c3Qtbm90LWJlLXNlZW4="


def test_health_needs_no_token(standing_worker: Worker) -> None:
    answer = httpx.get(f"{standing_worker.client.base_url}/health", trust_env=False)
    assert answer.json() == {
        "status": "ok",
        "sessionId": str(standing_worker.session_id),
        "epoch": 3,
        "runtimeVersion": "0.1.0",
        "runs": 0,
        "spooled": 0,
        "restored": False,
        "tokenId": credential_id(TOKEN),
    }


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic dTpw", "Bearer a-token-for-tests-0123456789x"])
@pytest.mark.parametrize("call", ["GET /events", "GET /providers", "POST /runs", "GET /nothing"])
def test_everything_else_needs_the_token(standing_worker: Worker, call: str, header: str) -> None:
    method, path = call.split()
    answer = standing_worker.client.request(method, path, headers={"authorization": header})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "unauthenticated"


@pytest.mark.parametrize(
    "body, status, code",
    [
        (b"{", 400, "malformed"),
        (b"", 400, "malformed"),
        (b"\xff\xfe", 400, "malformed"),
        (b"[" * 100_000, 400, "malformed"),
        (b'{"a":' * 100_000, 400, "malformed"),
        (b"[]", 422, "invalid"),
        (b"{}", 422, "invalid"),
    ],
    ids=["cut off", "empty", "not UTF-8", "deep list", "deep object", "a list", "nothing in it"],
)
def test_a_body_that_is_no_start_is_refused(standing_worker: Worker, body: bytes, status: int, code: str) -> None:
    answer = standing_worker.client.post("/runs", content=body, headers={"x-trace-id": "my-trace"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["traceId"] == "my-trace"


def test_a_refusal_never_repeats_a_secret(standing_worker: Worker) -> None:
    body = standing_worker.run_body(uuid4(), [], callback={"url": 5, "key": SECRET_KEY})
    answer = standing_worker.client.post("/runs", json=body)
    assert answer.status_code == 422
    assert SECRET_KEY not in answer.text


def test_a_50_mb_body_is_refused_with_and_without_a_length(standing_worker: Worker) -> None:
    body = b"x" * 50_000_000

    def in_parts() -> Iterator[bytes]:
        for start in range(0, len(body), 1_000_000):
            yield body[start : start + 1_000_000]

    for content in (body, in_parts()):
        answer = standing_worker.client.post("/runs", content=content)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_unknown_things_are_problems(standing_worker: Worker) -> None:
    for path in ("/nothing", "/runs/not-an-id", f"/runs/{uuid4()}"):
        answer = standing_worker.client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert standing_worker.client.get("/runs").json()["code"] == "method_not_allowed"
    assert standing_worker.client.delete(f"/runs/{uuid4()}", params={"claim": "-1"}).status_code == 422


def test_operations_are_recorded_with_their_trace(worker: Worker) -> None:
    trace = {"x-trace-id": "t1", "x-trace-operation": "validate"}
    worker.client.post("/workspace/validate", json={}, headers=trace)
    [operation] = worker.client.get("/events").json()["items"]
    assert (operation["method"], operation["path"], operation["status"]) == ("POST", "/workspace/validate", 200)
    assert operation["trace"] == trace


def test_only_the_newest_operations_are_kept(standing_worker: Worker) -> None:
    for _ in range(205):
        standing_worker.client.get(f"/runs/{uuid4()}")
    assert len(standing_worker.client.get("/events").json()["items"]) == 200


def test_required_paths_are_looked_for_in_the_workspace(worker: Worker) -> None:
    (worker.workspace / "src").mkdir()
    (worker.workspace / "src/main.py").write_text("")
    asked = {"requiredPaths": ["src", "src/main.py", "gone"], "runtimeVersion": "0.1.0"}
    assert worker.client.post("/workspace/validate", json=asked).json() == {
        "ok": False,
        "missing": ["gone"],
        "found": {"runtimeVersion": "0.1.0", "paths": {"src": "folder", "src/main.py": "file"}},
    }
    assert worker.client.post("/workspace/validate", json={"runtimeVersion": "9"}).json()["ok"] is False
    assert worker.client.post("/workspace/validate", json={"requiredPaths": ["src"]}).json()["ok"] is True


def test_required_paths_may_be_in_either_root(worker: Worker) -> None:
    (worker.workspace / "here").write_text("")
    (worker.folder / "home").mkdir(exist_ok=True)
    (worker.folder / "home/there").write_text("")
    asked = {"requiredPaths": ["/workspace/here", "/agent/there", "/agent/here", "/workspace"]}
    found = worker.client.post("/workspace/validate", json=asked).json()
    assert (found["ok"], found["missing"]) == (False, ["/agent/here"])
    assert found["found"]["paths"] == {"/workspace/here": "file", "/agent/there": "file", "/workspace": "folder"}


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/agent/../workspace/a", "../secret", "a/../../b", "out/passwd", "loop/x"]
)
def test_paths_that_leave_the_workspace_are_refused(worker: Worker, path: str) -> None:
    (worker.workspace / "out").symlink_to("/etc")
    (worker.workspace / "loop").symlink_to("loop")
    answer = worker.client.post("/workspace/validate", json={"requiredPaths": [path]})
    assert (answer.status_code, answer.json()["code"]) == (422, "path_outside_workspace")
    assert answer.json()["paths"] == [path]


def test_the_agents_home_is_there(standing_worker: Worker) -> None:
    asked = {"sessionId": str(standing_worker.session_id), "provider": "scripted"}
    linked = standing_worker.client.post("/workspace/link-agent-data", json=asked).json()["linked"]
    assert linked == [".config", ".cache", ".local/share", ".local/state"]
    assert all((standing_worker.folder / "home" / folder).is_dir() for folder in linked)
    refused = standing_worker.client.post("/workspace/link-agent-data", json={**asked, "sessionId": str(uuid4())})
    assert refused.status_code == 409


def test_providers_are_declared_over_http_and_on_the_command_line(make_worker: Callable[..., Worker]) -> None:
    worker = make_worker("executor")
    worker.start()
    over_http = worker.client.get("/providers").json()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "executor", "providers", "--json"]
    printed = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    assert json.loads(printed.stdout) == over_http
    assert "demo" in [one["name"] for one in over_http]


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"EXECUTOR_AUTH_TOKEN": "short"}, "EXECUTOR_AUTH_TOKEN: "),
        ({"EXECUTOR_SESSION_ID": "nobody"}, "EXECUTOR_SESSION_ID: "),
        ({"EXECUTOR_EPOCH": "0"}, "EXECUTOR_EPOCH: "),
        ({"EXECUTOR_WORKSPACE_DIR": "/dev/null/x"}, "The executor cannot use the folder /dev/null/x"),
    ],
)
def test_bad_settings_are_one_sentence(
    make_worker: Callable[..., Worker], changes: dict[str, str], sentence: str
) -> None:
    worker = make_worker("executor")
    assert worker.spawn(**changes).wait(10) == 2
    assert worker.log.read_text().startswith(sentence)
    assert len(worker.log.read_text().splitlines()) == 1


def test_a_taken_port_is_said_clearly(make_worker: Callable[..., Worker]) -> None:
    worker = make_worker("executor")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert worker.spawn(EXECUTOR_PORT=str(port)).wait(10) == 2
    refusal = (
        f"The executor cannot listen on 127.0.0.1:{port}: Address already in use. Choose another address or port.\n"
    )
    assert worker.log.read_text() == refusal


def test_a_spool_that_cannot_be_read_is_said_clearly(make_worker: Callable[..., Worker]) -> None:
    worker = make_worker("executor")
    state: Path = worker.folder / "state"
    state.mkdir()
    (state / "spool.sqlite3").write_bytes(b"not a database" * 100)
    assert worker.spawn().wait(10) == 2
    assert "cannot open the spool" in worker.log.read_text()

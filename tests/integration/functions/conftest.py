"""The API over a database of the test's own: in this process (`api`), or as a real gunicorn process (`served`)."""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from functions.app import create_app
from functions.runtime.process import api_process_of
from functions.runtime.settings import ApiSettings, read_settings
from handlers.access.tokens import admit_token, issue_token
from handlers.providers.registry import announce_providers
from schema.executor_api import ProviderDeclared
from schema.shares import ShareSettings
from schema.signature import ATTEMPT_HEADER, signed_headers
from schema.wire import Json
from tests.structure.repository import ROOT

SECRET = "5e" * 32
TOKEN = "a-token-of-the-tests"
NO_SHARES = {name.upper(): "0" for name in ShareSettings.model_fields}
"""Settings for tests and measurements in which one user is a crowd."""
DEMO = ProviderDeclared(
    name="demo",
    title="Demo",
    ready=True,
    options=["model", "mode", "providerOptions"],
    capabilities={"humanLoop": True, "resume": True},
)
PLAIN = ProviderDeclared(
    name="plain",
    title="Plain",
    ready=False,
    reason="Its program is missing.",
    reason_code="program_missing",
    reason_values={"program": "plain"},
)


@dataclass
class Api:
    """A client of the API with the administrator's token. Paths begin at the root."""

    client: FlaskClient
    token: str = TOKEN

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.client.get(path, headers=self._headers(kwargs), **kwargs)

    def post(self, path: str, body: object = None, **kwargs: Any) -> TestResponse:
        if body is not None:
            kwargs["json"] = body
        return self.client.post(path, headers=self._headers(kwargs), **kwargs)

    def patch(self, path: str, body: object) -> TestResponse:
        return self.client.patch(path, headers=self._headers({}), json=body)

    def delete(self, path: str) -> TestResponse:
        return self.client.delete(path, headers=self._headers({}))

    def start(self, prompt: str = "hello", **more: object) -> Json:
        answer = self.post("/api/runs/start", {"prompt": prompt, **more})
        assert answer.status_code == 202, answer.get_data(as_text=True)
        return answer_json(answer)

    def bind(self, session_id: str | None = None, *, provider: str = "elsewhere") -> Driver:
        body = {"provider": provider, "prompt": "drive", **({"sessionId": session_id} if session_id else {})}
        answer = self.post(f"/api/runs/{uuid4()}/bind", body)
        assert answer.status_code == 201, answer.get_data(as_text=True)
        return driver_of(answer_json(answer), self._send)

    def _send(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Json]:
        answer = self.client.post(path, data=body, headers=headers)
        return answer.status_code, answer_json(answer)

    def _headers(self, kwargs: dict[str, Any]) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", **kwargs.pop("headers", {})}


Send = Callable[[str, bytes, dict[str, str]], tuple[int, Json]]


@dataclass
class Driver:
    """What drives a bound run: it reports over HTTP only, as something outside Runyard would."""

    run_id: UUID
    session_id: UUID
    attempt: int
    epoch: int
    key: str
    send: Send = field(repr=False)
    n: int = 0

    @property
    def path(self) -> str:
        return f"/api/runs/{self.run_id}/callbacks"

    def event(self, type_: str = "message.delta", *, n: int | None = None, **data: object) -> Json:
        """The next event of the attempt."""
        if n is None:
            self.n += 1
            n = self.n
        return {"id": str(uuid4()), "n": n, "type": type_, "at": datetime.now(UTC).isoformat(), "data": data}

    def delta(self, text: str) -> Json:
        return self.event("message.delta", messageId="m1", role="assistant", text=text)

    def finish(self) -> tuple[int, Json]:
        return self.report(self.event("run.finished", status="succeeded", stopReason="end_turn"))

    def body(self, *events: Json, **other: object) -> bytes:
        return json.dumps({"epoch": self.epoch, "attempt": self.attempt, "events": events, **other}).encode()

    def report(self, *events: Json, **other: object) -> tuple[int, Json]:
        return self.report_raw(self.body(*events, **other))

    def report_raw(self, body: bytes, **headers: str) -> tuple[int, Json]:
        return self.report_raw_as(
            body, {**signed_headers(self.key, body), ATTEMPT_HEADER: str(self.attempt), **headers}
        )

    def report_raw_as(self, body: bytes, headers: dict[str, str]) -> tuple[int, Json]:
        return self.send(self.path, body, {"Content-Type": "application/json", **headers})


def driver_of(bound: Json, send: Send) -> Driver:
    return Driver(
        run_id=UUID(bound["runId"]),
        session_id=UUID(bound["sessionId"]),
        attempt=bound["attempt"],
        epoch=bound["epoch"],
        key=bound["callbackKey"],
        send=send,
    )


def signature_of(key: str, body: bytes) -> dict[str, str]:
    """As `signed_headers`, also for bodies that are no text."""
    id_, at = "msg_x", str(int(time.time()))
    digest = hmac.digest(base64.b64decode(key.removeprefix("whsec_")), f"{id_}.{at}.".encode() + body, "sha256")
    signed = base64.b64encode(digest).decode()
    return {"webhook-id": id_, "webhook-timestamp": at, "webhook-signature": f"v1,{signed}"}


def answer_json(answer: TestResponse) -> Json:
    body: Json = json.loads(answer.get_data(as_text=True))
    return body


@pytest.fixture
def settings(database: str) -> ApiSettings:
    return read_settings(database_url=database, secret_key=SECRET, database_pool_size=4)


@pytest.fixture
def provided(conn: psycopg.Connection) -> None:
    """The tests' token is admitted and two providers are announced."""
    with conn.transaction():
        admit_token(conn, user_name="admin", label="tests", token=TOKEN)
        announce_providers(conn, [DEMO, PLAIN])


@pytest.fixture
def api(settings: ApiSettings, provided: None) -> Iterator[Api]:  # noqa: ARG001  for what it does
    """The app in this process, with its threads running."""
    app = create_app(settings)
    process = api_process_of(app)
    process.start()
    yield Api(app.test_client())
    process.stop()


@pytest.fixture
def member(conn: psycopg.Connection) -> str:
    """The token of a user who is no administrator."""
    with conn.transaction():
        conn.execute("INSERT INTO users (name, role) VALUES ('mia', 'member')")
        return issue_token(conn, "mia", "tests")


@dataclass
class Served:
    """A gunicorn process with the API."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    token: str = TOKEN

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def client(self, **kwargs: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=30, trust_env=False, **kwargs)

    def bind(self) -> Driver:
        with self.client() as client:
            bound = client.post(f"/api/runs/{uuid4()}/bind", json={"provider": "elsewhere", "prompt": "drive"})
            assert bound.status_code == 201, bound.text
            return driver_of(bound.json(), self.send)

    def send(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Json]:
        answer = httpx.post(self.url + path, content=body, headers=headers, timeout=30, trust_env=False)
        return answer.status_code, answer.json()

    def socket_url(self, session_id: UUID | str, **query: object) -> str:
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        return f"ws://127.0.0.1:{self.port}/api/sessions/{session_id}/ws" + (f"?{asked}" if asked else "")

    def log_lines(self) -> list[Json]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


Serve = Callable[..., Served]


@pytest.fixture
def serve(database: str, provided: None, tmp_path: Path) -> Iterator[Serve]:  # noqa: ARG001  for what it does
    """Starts a gunicorn process with more settings; waits until it is ready. Stopped with the test."""
    with ExitStack() as stack:

        def start(**more: str) -> Served:
            port, log = free_port(), tmp_path / f"api-{secrets.token_hex(4)}.log"
            process = stack.enter_context(gunicorn(database, port, log, more))
            served = Served(process, port, log)
            wait_until(lambda: is_ready(served), seconds=30, what=lambda: log.read_text()[-4000:])
            return served

        yield start


@pytest.fixture
def served(serve: Serve) -> Served:
    return serve()


class gunicorn(subprocess.Popen[bytes]):  # noqa: N801  it is the program
    """The program, ended when its block is left."""

    def __init__(self, database: str, port: int, log: Path, more: dict[str, str]) -> None:
        with log.open("wb") as out:
            super().__init__(
                [sys.executable, "-m", "gunicorn", "-c", "functions/gunicorn.conf.py", "functions.wsgi:app"],
                cwd=ROOT,
                env=environment(database, port, more),
                stdout=out,
                stderr=out,
            )

    def __exit__(self, *_: object) -> None:
        self.terminate()
        try:
            self.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            self.wait()


def environment(database: str, port: int, more: dict[str, str]) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": database,
        "RUNYARD_SECRET_KEY": SECRET,
        "RUNYARD_PORT": str(port),
        "API_THREADS": "32",
        **more,
    }


def is_ready(served: Served) -> bool:
    if served.process.poll() is not None:
        pytest.fail(f"gunicorn ended with {served.process.returncode}:\n{served.log.read_text()[-4000:]}")
    try:
        return httpx.get(f"{served.url}/ready", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(
    condition: Callable[[], bool], *, seconds: float = 10, what: Callable[[], str] = lambda: "nothing more is known"
) -> None:
    """Look until it holds; fails the test after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"this did not come about in {seconds} s: {what()}")
        time.sleep(0.02)

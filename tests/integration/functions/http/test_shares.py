"""One user takes a share of an API process and no more; others and callbacks are answered meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import httpx
import psycopg
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from functions.app import create_app
from functions.runtime.process import api_process_of
from functions.runtime.settings import ApiSettings
from tests.integration.functions.conftest import Api, Serve, Served, answer_json, wait_until


@contextmanager
def tab(served: Served, token: str) -> Iterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {token}"}
    with connect(f"ws://127.0.0.1:{served.port}/api/ws", additional_headers=headers) as ws:
        yield ws


def assert_used_up(answer: httpx.Response, *, share: str, limit: int) -> None:
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (429, "share_used_up")
    assert (problem["share"], problem["limit"]) == (share, limit)
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["ratelimit"].startswith(f'"{share}";r=0;t=')
    assert answer.headers["ratelimit-policy"].startswith(f'"{share}";q={limit};')


def test_sockets_beyond_a_share_are_refused_and_others_connect(serve: Serve, member: str) -> None:
    served = serve(API_SOCKETS_PER_USER="2")
    with ExitStack() as stack:
        mine = [stack.enter_context(tab(served, member)) for _ in range(2)]
        with pytest.raises(InvalidStatus) as refused, tab(served, member):
            pass
        response = refused.value.response
        assert (response.status_code, response.headers["RateLimit"]) == (429, '"sockets";r=0;t=2')
        stack.enter_context(tab(served, served.token))
        mine[0].close()

        def can_connect() -> bool:
            try:
                stack.enter_context(tab(served, member))
            except InvalidStatus:
                return False
            return True

        wait_until(can_connect, seconds=30)


def test_streams_beyond_a_share_are_refused_and_start_nothing(serve: Serve) -> None:
    served = serve(API_STREAMS_PER_USER="1")
    driver = served.bind()
    with served.client() as client, client.stream("GET", f"/api/runs/{driver.run_id}/stream") as first:
        lines = first.iter_lines()  # kept: the connection closes with it
        assert next(lines).startswith("retry:")
        again = client.get(f"/api/runs/{driver.run_id}/stream")
        waiting = client.post("/api/runs/start", json={"prompt": "x"}, headers={"Prefer": "wait=5"})
        for answer in (again, waiting):
            assert_used_up(answer, share="streams", limit=1)
        assert len(client.get("/api/sessions").json()["items"]) == 1
        assert driver.report(driver.delta("x"))[0] == 200


def test_requests_in_flight_beyond_a_share_are_refused(serve: Serve, member: str, database: str) -> None:
    served = serve(API_REQUESTS_PER_USER="2")
    driver = served.bind()
    answers: list[int] = []

    with psycopg.connect(database) as locking, served.client() as client:
        locking.execute("LOCK sessions IN ACCESS EXCLUSIVE MODE")
        slow = [threading.Thread(target=ask_for_sessions, args=(served, answers)) for _ in range(2)]
        for thread in slow:
            thread.start()
        wait_until(lambda: waiting_for_locks(locking) == 2, seconds=30)
        assert_used_up(client.get("/api/me"), share="requests", limit=2)
        other = client.get("/api/me", headers={"Authorization": f"Bearer {member}"})
        assert other.status_code == 200
        assert client.get("/health").status_code == 200
        assert driver.report(driver.delta("x"))[0] == 200, "a callback is nobody's request"
        locking.rollback()
        for thread in slow:
            thread.join()
    ask_for_sessions(served, answers)
    assert answers == [200, 200, 200]


def ask_for_sessions(served: Served, answers: list[int]) -> None:
    with served.client() as client:
        answers.append(client.get("/api/sessions").status_code)


def waiting_for_locks(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return 0 if row is None else int(row[0])


def test_a_request_that_fails_gives_its_share_back(serve: Serve) -> None:
    served = serve(API_REQUESTS_PER_USER="1")
    refused: list[Callable[[httpx.Client], httpx.Response]] = [
        lambda client: client.get("/api/sessions/nonsense"),
        lambda client: client.post("/api/runs/start", content=b"{"),
        lambda client: client.get("/api/ws"),
        lambda client: client.get("/api/me"),
    ]
    with served.client() as client:
        for _ in range(2):
            assert [ask(client).status_code for ask in refused] == [422, 400, 422, 200]


def test_a_start_beyond_a_share_is_told_when_to_come_back(settings: ApiSettings, provided: None) -> None:  # noqa: ARG001
    limited = settings.model_copy(update={"prompts_per_minute": 2})
    app = create_app(limited)
    process = api_process_of(app)
    process.start()
    try:
        api = Api(app.test_client())
        first = api.start()
        api.bind()
        refused = [
            api.post("/api/runs/start", {"prompt": "x"}),
            api.post("/api/runs/queue/enqueue", {"prompt": "x"}),
            api.post(f"/api/runs/{uuid4()}/bind", {"provider": "elsewhere"}),
        ]
        api.post(f"/api/runs/{first['runId']}/stop")
        refused.append(api.post(f"/api/runs/{first['runId']}/retry"))
        for answer in refused:
            assert (answer.status_code, answer_json(answer)["share"]) == (429, "prompts")
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
            assert answer.headers["RateLimit-Policy"] == '"prompts";q=2;w=60'
    finally:
        process.stop()

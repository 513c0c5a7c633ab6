"""Whatever bytes come to the callback route, signed or not: an answer below 500, and all of it stored or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schema.wire import Json
from tests.integration.functions.conftest import Driver, Served, driver_of, signature_of
from tests.integration.log.laws import broken_laws
from tests.thoroughness import by_chance, chances, times

pytestmark = pytest.mark.timeout(times(180, 3600))
HOSTILE: list[Any] = [
    *("", " ", "\0", "\ud800", "\U0001f4a9", "x" * 5000, "../../etc/passwd", "'; DROP TABLE runs; --", "%s", "{}"),
    *(None, True, 0, -1, 1, 2**31, 2**63, 2**64, 10**400, 1.5, -0.0, 1e308, [], {}, [[]], {"": None}),
    *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2026-02-30T00:00:00Z", "1e400", str(uuid4())),
]
NEW = "an id of its own"
TYPES = [
    *("run.started", "run.finished", "run.warning", "message.delta", "message.stop", "tool.call", "todo.update"),
    *("human_loop.requested", "human_loop.applied", "usage.update", "workspace.synced", "run.queued", "x.y", ""),
]
DATA: dict[str, Json] = {
    "run.started": {"provider": "demo", "agentSessionId": "a conversation", "resumed": False, "agent": {"name": "x"}},
    "run.finished": {"status": "failed", "reason": {"code": "x", "message": "y"}, "stopReason": "z", "usage": {}},
    "run.warning": {"code": "careful", "message": "It is slippery."},
    "usage.update": {
        "inputTokens": 1,
        "contextUsed": 2,
        "cost": {"amount": 0.5, "currency": "EUR", "source": "reported"},
    },
    "todo.update": {
        "groupId": "g",
        "title": "t",
        "items": [
            {"id": "a", "content": "c", "status": "pending", "priority": "high"},
            {"id": "b", "content": "d", "status": "completed"},
        ],
    },
    "human_loop.applied": {"requestId": "00000000-0000-0000-0000-000000000001", "outcome": "void", "told": "nothing"},
    "human_loop.requested": {
        "requestId": "00000000-0000-0000-0000-000000000001",
        "kind": "permission",
        "title": "May I?",
        "fingerprint": "f",
        "toolCall": {"x": 1},
        "options": [{"optionId": "o", "name": "n", "kind": "allow_once"}],
        "schema": {},
    },
}
anything = st.recursive(
    st.sampled_from(HOSTILE) | st.text(max_size=20) | st.floats() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def events(draw: st.DrawFn) -> Json:
    """A valid event, or one with a few of its values replaced by hostile ones, at any depth."""
    type_ = draw(st.sampled_from(TYPES))
    event: Json = {
        "id": NEW,
        "n": 1,
        "type": type_,
        "at": "2026-01-02T03:04:05Z",
        "data": json.loads(json.dumps(DATA.get(type_, {"text": "x"}))),
    }
    for _ in range(draw(st.integers(0, 2))):
        replace_somewhere(draw, event)
    return event


def replace_somewhere(draw: st.DrawFn, value: Any) -> None:
    """Go down a random way and put something else at its end."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        if not isinstance(value[key], (dict, list)) or draw(st.booleans()):
            value[key] = deepcopy(draw(anything))  # one that was drawn may be changed later
            return
        value = value[key]


def event_of(type_: str, data: Json, *, at: str = "2026-01-02T03:04:05Z") -> Json:
    return {"id": NEW, "n": 1, "type": type_, "at": at, "data": data}


Kept = Callable[[Driver], tuple[int, int]]


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client


def bound(client: httpx.Client) -> Driver:
    """What drives a run under the name of a provider that can do everything."""
    answer = client.post(f"/api/runs/{uuid4()}/bind", json={"provider": "demo", "prompt": "drive"})
    assert answer.status_code == 201, answer.text

    def send(path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Json]:
        answer = client.post(path, content=body, headers=headers)
        return answer.status_code, answer.json()

    return driver_of(answer.json(), send)


@pytest.fixture
def kept(conn: psycopg.Connection) -> Kept:
    """How much of a run is stored: its events, and the number of the last one."""

    def count(driver: Driver) -> tuple[int, int]:
        found = conn.execute(
            """SELECT count(n), (SELECT last_n FROM session_logs WHERE run_id = %(run_id)s)
            FROM run_events WHERE run_id = %(run_id)s""",
            {"run_id": driver.run_id},
        ).fetchone()
        assert found is not None
        return found[0], found[1]

    return count


def test_bodies_of_any_bytes_store_nothing(client: httpx.Client, conn: psycopg.Connection, kept: Kept) -> None:
    driver = bound(client)

    @by_chance
    @chances(120, 20_000)
    @given(body=st.binary(max_size=300) | mutated_bodies(driver), is_signed=st.booleans())
    def report(body: bytes, is_signed: bool) -> None:  # noqa: FBT001  hypothesis gives it by name
        headers = signature_of(driver.key, body) if is_signed else {"webhook-id": "x", "webhook-signature": "v1,eA=="}
        before = kept(driver)
        status, answer = driver.report_raw_as(body, headers)
        assert status < 500, answer
        count, last_n = kept(driver)
        stored = answer.get("accepted", 0)
        assert (count, last_n) == (before[0] + stored, before[1] + stored)
        assert is_signed or status in (400, 401, 413, 422)

    report()
    assert broken_laws(conn, driver.session_id) == []


def mutated_bodies(driver: Driver) -> st.SearchStrategy[bytes]:
    """A valid call with a part cut out, put in, or doubled."""
    valid = driver.body({"id": str(uuid4()), "n": 1, "type": "x.y", "at": "2026-01-02T03:04:05Z", "data": {"a": [1]}})
    places = st.integers(0, len(valid))

    def mutate(first: int, last: int, put: bytes) -> bytes:
        return valid[:first] + put + valid[last:]

    return st.builds(mutate, places, places, st.binary(max_size=4) | st.sampled_from([b"", b"[" * 200, b'"\\u0000"']))


@pytest.mark.both_postgres
def test_events_of_any_shape_are_stored_whole_or_not_at_all(
    client: httpx.Client, conn: psycopg.Connection, kept: Kept
) -> None:
    drivers = [bound(client)]

    @by_chance
    @chances(150, 20_000)
    @given(said=st.lists(events(), min_size=1, max_size=3))
    @example([event_of("x.y", {}, at="0001-01-01T00:00:00+01:00")])
    @example([event_of("x.y", {}, at="9999-12-31T23:59:59-01:00")])
    @example([event_of("x.y", {"each": [1e308] * 3, "big": 10**4000})])
    @example([event_of("run.started", {"provider": "demo", "agentSessionId": "x" * 1001})])
    def report(said: list[Json]) -> None:
        driver = drivers[-1]
        before = kept(driver)
        for i, event in enumerate(said, start=1):
            event.update({"n": before[1] + i} if event.get("n") == 1 else {})
            event.update({"id": str(uuid4())} if event.get("id") == NEW else {})
        status, answer = driver.report(*said)
        assert status < 500, answer
        stored = answer["accepted"] if status == 200 else 0
        assert stored in (0, len(said))
        assert kept(driver) == (before[0] + stored, before[1] + stored)
        if stored:
            assert_readable(client, driver, first=before[1] + 1)
        if client.get(f"/api/runs/{driver.run_id}").json().get("finishedAt"):
            assert broken_laws(conn, driver.session_id) == []
            drivers.append(bound(client))

    report()
    assert broken_laws(conn, drivers[-1].session_id) == []


def assert_readable(client: httpx.Client, driver: Driver, *, first: int) -> None:
    """What was stored can be read by everyone: as a page, and in the session's state."""
    page = client.get(f"/api/runs/{driver.run_id}/events?after={first}&limit=1000")
    assert page.status_code == 200, page.text
    for path in (f"/api/runs/{driver.run_id}", f"/api/human-loop/pending?sessionId={driver.session_id}"):
        answer = client.get(path)
        assert answer.status_code == 200, answer.text

"""A page of large rows ends early, with its cursor: no answer has much more than PAGE_BYTES and one row."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import psycopg
import pytest

from schema.row_pages import PAGE_BYTES
from schema.wire import Json
from tests.integration.functions.conftest import Api, Driver, answer_json

LARGE = 3 * 1024 * 1024
ROWS = 8
PAGES = [3, 3, 2]
"""Rows of LARGE bytes by page: the third reaches PAGE_BYTES."""
SENT_BESIDES = 64 * 1024
"""Bytes of an answer that are not its rows' large texts."""
COMPRESSED = "repeat('x', %(size)s::integer)"
UNCOMPRESSED = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, %(size)s::integer / 32) AS i)"


@dataclass(frozen=True)
class List:
    """A list of the API. `fill` gives it ROWS rows, `grow` is the assignment that makes one large by a {text}."""

    path: str
    key: str
    fill: Callable[[Driver, psycopg.Connection], None]
    grow: str
    cursor: str = "cursor"


def add_events(driver: Driver, _conn: psycopg.Connection) -> None:
    for _ in range(ROWS):
        assert driver.report(driver.event("tool.update", toolCallId="t", status="in_progress"))[0] == 200


def add_requests(driver: Driver, _conn: psycopg.Connection) -> None:
    for _ in range(ROWS):
        request_id = str(uuid4())
        request = driver.event(
            "human_loop.requested", requestId=request_id, kind="question", title="Which?", fingerprint=request_id
        )
        assert driver.report(request)[0] == 200


def add_queued_runs(driver: Driver, conn: psycopg.Connection) -> None:
    conn.execute(
        "INSERT INTO runs (session_id, user_id, app_id, app_version, provider, prompt, traceparent, position,"
        " max_attempts, status)"
        " SELECT session_id, user_id, app_id, app_version, 'demo', 'x', traceparent, place, 1, 'queued'"
        " FROM runs CROSS JOIN generate_series(1, %s) AS place WHERE id = %s",
        (ROWS, driver.run_id),
    )


GROWN_EVENT = "run_events SET data = data || jsonb_build_object('output', {text}) WHERE type = 'tool.update'"
GROWN_REQUEST = "human_requests SET tool_call = jsonb_build_object('input', {text}) WHERE status = 'open'"
GROWN_RUN = "runs SET prompt = {text} WHERE status = 'queued'"
EVENTS = "/api/sessions/{session}/events"
LISTS = {
    "a session's events": List(EVENTS, "seq", add_events, GROWN_EVENT, "after"),
    "a session's events backwards": List(EVENTS + "?before=1000", "seq", add_events, GROWN_EVENT, "before"),
    "a run's events": List("/api/runs/{run}/events", "seq", add_events, GROWN_EVENT, "after"),
    "pending requests": List("/api/human-loop/pending", "requestId", add_requests, GROWN_REQUEST),
    "all requests": List("/api/human-loop", "requestId", add_requests, GROWN_REQUEST),
    "a session's runs": List("/api/sessions/{session}/runs", "runId", add_queued_runs, GROWN_RUN),
    "a session's queue": List("/api/sessions/{session}/queue", "runId", add_queued_runs, GROWN_RUN),
}


@pytest.mark.parametrize(("what", "text"), [*((what, COMPRESSED) for what in LISTS), ("a run's events", UNCOMPRESSED)])
def test_a_page_of_large_rows_ends_early_and_cursors_lose_and_double_nothing(
    api: Api, conn: psycopg.Connection, what: str, text: str
) -> None:
    driver, listed = api.bind(), LISTS[what]
    listed.fill(driver, conn)
    [(_, whole)] = pages(api, driver, listed)
    grow(conn, listed, size=LARGE, text=text)
    read = list(pages(api, driver, listed))
    large = [sum(len(str(item)) > LARGE for item in items) for _, items in read]
    assert [rows for rows in large if rows] == PAGES
    assert max(size for size, _ in read) < PAGE_BYTES + LARGE + SENT_BESIDES
    assert [item[listed.key] for _, items in read for item in items] == [item[listed.key] for item in whole]


def test_a_page_ends_with_the_row_that_reaches_its_bytes(api: Api, conn: psycopg.Connection) -> None:
    driver = api.bind()
    add_events(driver, conn)
    path = f"/api/runs/{driver.run_id}/events"
    first = answer_json(api.get(path))["items"][-ROWS]["seq"]
    for more, rows in ((-1, 2), (0, 1)):
        grow_event(conn, first, PAGE_BYTES + more)
        page = answer_json(api.get(f"{path}?after={first - 1}&limit=2"))
        assert [item["seq"] for item in page["items"]] == [first + i for i in range(rows)]
        assert page["nextCursor"] == first + rows - 1


def test_a_list_that_ends_with_a_large_row_has_no_cursor(api: Api, conn: psycopg.Connection) -> None:
    driver = api.bind()
    add_events(driver, conn)
    path = f"/api/runs/{driver.run_id}/events"
    last = answer_json(api.get(path))["items"][-1]["seq"]
    grow_event(conn, last, PAGE_BYTES)
    page = answer_json(api.get(path))
    assert page["items"][-1]["seq"] == last
    assert "nextCursor" not in page


def test_a_page_of_large_rows_takes_bounded_memory(api: Api, conn: psycopg.Connection) -> None:
    """Eight requests of 16 MiB wait. The page of one costs less than all of them, however often it is copied."""
    driver = api.bind()
    add_requests(driver, conn)
    grow(conn, LISTS["pending requests"], size=2 * PAGE_BYTES, text=COMPRESSED)
    tracemalloc.start()
    try:
        page = answer_json(api.get("/api/human-loop/pending?limit=500"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(page["items"]) == 1
    assert peak < ROWS * 2 * PAGE_BYTES


def grow(conn: psycopg.Connection, listed: List, *, size: int, text: str) -> None:
    conn.execute("UPDATE " + listed.grow.format(text=text), {"size": size})


def grow_event(conn: psycopg.Connection, seq: int, size: int) -> None:
    """Give the event's data a text of exactly so many bytes."""
    besides = "octet_length((data || jsonb_build_object('output', ''))::text)"
    conn.execute(
        "UPDATE run_events"
        f" SET data = data || jsonb_build_object('output', repeat('x', %s::integer - {besides}))"
        " WHERE seq = %s",
        (size, seq),
    )
    assert conn.execute("SELECT octet_length(data::text) FROM run_events WHERE seq = %s", (seq,)).fetchone() == (size,)


def pages(api: Api, driver: Driver, listed: List) -> Iterator[tuple[int, list[Json]]]:
    """Yield each page's bytes and items."""
    path = listed.path.format(session=driver.session_id, run=driver.run_id)
    cursor: object = None
    while True:
        more = {} if cursor is None else {listed.cursor: cursor}
        answer = api.get(path if cursor is None else path.partition("?")[0], query_string=more or None)
        page = answer_json(answer)
        yield len(answer.get_data()), page["items"]
        cursor = page.get("nextCursor")
        if cursor is None:
            return

"""What PostgreSQL writes for readers says the same as what we would have written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from handlers.event_log import FEW_EVENTS, NewEvent, WrittenEvents, append, hold_session, session_events, written_events
from schema.events import Envelope
from schema.row_pages import PAGE_BYTES
from schema.sql import Conn
from schema.wire import Json
from tests.integration.handlers.conftest import StartOne

pytestmark = pytest.mark.both_postgres
ODD: Json = {
    "text": 'a "quote", a \\ and ü\n',
    "nothing": None,
    "numbers": [0.1, 2**70, -1e-7, True],
    "nested": {"": {}},
}
ONCE = datetime(2026, 1, 2, 3, 4, 5, 120_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "event",
    [
        NewEvent(type="message.delta", data=ODD, author="executor", n=1, at=ONCE),
        NewEvent(type="run.queued", data={}, author='user:with "quotes" \\ and ü'),
        NewEvent(type="message.delta", data={}, author="executor", n=1, late=True, at=ONCE.replace(microsecond=0)),
        NewEvent(type="message.delta", data={}, author="executor", n=1, at=ONCE.replace(microsecond=123_456)),
        NewEvent(type="session.renamed", data={"title": "x" * 100_000}, id=uuid4()),
    ],
)
def test_a_written_event_is_its_envelope(conn: Conn, start: StartOne, event: NewEvent) -> None:
    run = start().run
    head = hold_session(conn, run.session_id)
    before = head.last_seq
    by_run = NewEvent(**{**event.__dict__, "run_id": run.id, "attempt": 1})
    append(conn, head, [event, by_run])
    written = written_events(conn, run.session_id, after=before, limit=10)
    assert (written.first_seq, written.last_seq) == (before + 1, before + 2)
    read = session_events(conn, run.session_id, after=before, limit=10)
    assert [Envelope.model_validate_json(each) for each in written.json] == read
    assert [json.loads(each)["at"] for each in written.json] == [each.to_json()["at"] for each in read]


@pytest.mark.parametrize(
    ("text", "pages"),
    [
        ("(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 98304) AS i)", [3, 3, 2]),
        ("repeat('x', 8 * 1024 * 1024)", [3, 3, 2]),
        ("'small'", [8]),
    ],
    ids=["uncompressed", "compressed", "small"],
)
def test_large_events_are_read_in_parts_that_lose_and_double_nothing(
    conn: Conn, start: StartOne, text: str, pages: list[int]
) -> None:
    """Uncompressed events of 3 MiB end a page at its bytes, compressed ones of 8 MiB at three times as many."""
    run = start().run
    head = hold_session(conn, run.session_id)
    append(conn, head, [NewEvent(type="tool.update", data={}) for _ in range(8)])
    conn.execute(
        f"UPDATE run_events SET data = jsonb_build_object('output', {text}) WHERE session_id = %s AND seq > %s",
        (run.session_id, head.last_seq),
    )
    read: list[WrittenEvents] = []
    while not read or read[-1].is_full:
        after = read[-1].last_seq if read else head.last_seq
        read.append(written_events(conn, run.session_id, after=after, limit=2000))
    assert [len(each.json) for each in read] == pages
    assert max(sum(map(len, each.json)) for each in read) < 4 * PAGE_BYTES
    seqs = [json.loads(event)["seq"] for each in read for event in each.json]
    assert seqs == list(range(head.last_seq + 1, head.last_seq + 9))


def test_few_events_are_read_whole_whatever_their_size(conn: Conn, start: StartOne) -> None:
    run = start().run
    head = hold_session(conn, run.session_id)
    append(conn, head, [NewEvent(type="tool.update", data={}) for _ in range(FEW_EVENTS)])
    conn.execute(
        "UPDATE run_events SET data = jsonb_build_object('output', repeat('x', 8 * 1024 * 1024))"
        " WHERE session_id = %s AND seq > %s",
        (run.session_id, head.last_seq),
    )
    few = written_events(conn, run.session_id, after=head.last_seq, limit=FEW_EVENTS)
    assert (len(few.json), few.is_full) == (FEW_EVENTS, True)
    assert not written_events(conn, run.session_id, after=few.last_seq, limit=FEW_EVENTS).is_full

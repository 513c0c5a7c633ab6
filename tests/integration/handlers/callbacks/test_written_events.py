"""What PostgreSQL writes for readers says the same as what we would have written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from handlers.event_log import NewEvent, append, hold_session, session_events, written_events
from schema.events import Envelope
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

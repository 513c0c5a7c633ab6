"""A lasting answer settles equal open requests and holds for the session's next runs, and for nothing else."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from handlers.access.permissions import Actor
from handlers.human_loop.pending import pending
from handlers.human_loop.reply import HumanReply, begin_delivery, reply
from schema.events import SourceEvent
from schema.rows import RunRow
from schema.sql import Conn
from tests.integration.handlers.conftest import (
    STOP,
    StartOne,
    call_back,
    claim,
    event,
    finished,
    log_of,
    run_now,
    started,
)

pytestmark = pytest.mark.both_postgres

ONCE = {"optionId": "yes", "name": "Yes", "kind": "allow_once"}
IN_SESSION = {"optionId": "always", "name": "Yes, always in this session", "kind": "allow_always"}
THIS_COMMAND = {"optionId": "always", "name": "Always allow", "kind": "allow_always"}
COMMAND_IN_SESSION = {
    "optionId": "always",
    "name": "Yes, and don't ask again for this command in this session",
    "kind": "allow_always",
}
NO = {"optionId": "no", "name": "No", "kind": "reject_once"}


def asked(
    n: int, request_id: UUID, call: str, *, kind: str = "edit", lasting: dict[str, str] = IN_SESSION
) -> SourceEvent:
    data = {"requestId": str(request_id), "kind": "permission", "title": call, "fingerprint": call.ljust(64, "f")}
    return event(n, "human_loop.requested", {**data, "toolCall": {"kind": kind}, "options": [ONCE, lasting, NO]})


def begun(conn: Conn, start: StartOne, session_id: UUID | None = None) -> RunRow:
    changes = {} if session_id is None else {"session_id": session_id}
    taken = claim(conn, start(**changes).run.id)
    assert taken is not None
    call_back(conn, taken.run, started())
    return run_now(conn, taken.run.id)


def always(conn: Conn, actor: Actor, request_id: UUID) -> None:
    with conn.transaction():
        reply(conn, actor, HumanReply(request_id=request_id, decision="allow_always"), stop_policy=STOP)


def after_a_lasting_answer(conn: Conn, actor: Actor, start: StartOne, lasting: dict[str, str]) -> RunRow:
    """A new run of a session in whose first run an edit of a.txt was allowed for good."""
    run, request_id = begun(conn, start), uuid4()
    call_back(conn, run, asked(2, request_id, "a.txt", lasting=lasting))
    always(conn, actor, request_id)
    assert begin_delivery(conn, request_id) is not None
    applied = {"requestId": str(request_id), "outcome": "applied", "told": "always"}
    call_back(conn, run, event(3, "human_loop.applied", applied), finished(4))
    return begun(conn, start, run.session_id)


def test_a_lasting_answer_settles_the_equal_requests_that_are_open(conn: Conn, actor: Actor, start: StartOne) -> None:
    run, same, twin, other = begun(conn, start), uuid4(), uuid4(), uuid4()
    call_back(conn, run, asked(2, same, "a.txt"), asked(3, twin, "a.txt"), asked(4, other, "b.txt"))

    always(conn, actor, same)

    assert [request.id for request in pending(conn, actor, session_id=run.session_id)] == [other]
    resolved = [entry.data["requestId"] for entry in log_of(conn, run.id) if entry.type == "human_loop.resolved"]
    assert resolved == [str(same), str(twin)]
    delivery = begin_delivery(conn, twin)
    assert delivery is not None
    assert delivery.answer.decision == "allow_always"


@pytest.mark.parametrize(
    "call, kind, lasting, holds",
    [
        ("a.txt", "edit", THIS_COMMAND, True),
        ("b.txt", "edit", THIS_COMMAND, False),
        ("a.txt", "edit", IN_SESSION, True),
        ("b.txt", "edit", IN_SESSION, False),
        ("rm -rf ~/x", "execute", COMMAND_IN_SESSION, False),
    ],
)
def test_a_lasting_answer_holds_for_what_it_was_given(
    conn: Conn, actor: Actor, start: StartOne, call: str, kind: str, lasting: dict[str, str], *, holds: bool
) -> None:
    run, request_id = after_a_lasting_answer(conn, actor, start, lasting), uuid4()

    call_back(conn, run, asked(2, request_id, call, kind=kind, lasting=lasting))

    resolved = [entry for entry in log_of(conn, run.id) if entry.type == "human_loop.resolved"]
    assert [entry.data["by"] for entry in resolved] == ([actor.author] if holds else [])
    assert run_now(conn, run.id).status == ("running" if holds else "waiting")
    assert (begin_delivery(conn, request_id) is not None) == holds


def test_another_session_asks_anew(conn: Conn, actor: Actor, start: StartOne) -> None:
    after_a_lasting_answer(conn, actor, start, IN_SESSION)
    run = begun(conn, start)

    call_back(conn, run, asked(2, uuid4(), "a.txt"))

    assert run_now(conn, run.id).status == "waiting"

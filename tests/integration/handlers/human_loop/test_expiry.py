"""When nobody answers in time: denied in nobody's name, escalated, or parked; and what became of it is told."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from handlers.access.permissions import Actor
from handlers.human_loop.expiry import expire, expired_requests
from handlers.human_loop.reply import begin_delivery
from handlers.runs.parking import record_quiesced
from schema.errors import AlreadyAnswered, Invalid
from schema.human_policy import HumanPolicy
from schema.rows import HumanRequestRow, RunRow
from schema.sql import Conn, fetch_the
from tests.integration.handlers.conftest import (
    StartOne,
    call_back,
    claim,
    event,
    log_of,
    run_now,
    started,
)
from tests.integration.handlers.human_loop.test_human_loop import asked, give

pytestmark = pytest.mark.both_postgres
AT_ONCE = 1e-6
Waiting = tuple[RunRow, UUID]
WaitWith = Callable[..., Waiting]


@pytest.fixture
def waits(conn: Conn, start: StartOne) -> WaitWith:
    """A run that waits for an answer, by a policy."""

    def wait(conversation: str | None = "conversation-1", **policy: object) -> Waiting:
        told = HumanPolicy.model_validate({"expiry_seconds": AT_ONCE, "escalation_seconds": AT_ONCE, **policy})
        taken = claim(conn, start(human_loop=told).run.id)
        assert taken is not None
        request_id = uuid4()
        call_back(conn, taken.run, started(conversation=conversation), asked(2, request_id))
        return taken.run, request_id

    return wait


def expire_all(conn: Conn) -> list[str | None]:
    done: list[str | None] = []
    for request_id in expired_requests(conn):
        with conn.transaction():
            done.append(expire(conn, request_id))
    return done


def request_now(conn: Conn, request_id: UUID) -> HumanRequestRow:
    return fetch_the(conn, "human_request", HumanRequestRow, request_id=request_id)


def told(conn: Conn, run: RunRow, type_: str) -> list[dict[str, object]]:
    return [entry.data for entry in log_of(conn, run.id) if entry.type == type_]


def rest(conn: Conn, run: RunRow) -> None:
    with conn.transaction():
        record_quiesced(conn, run.id, attempt=run.attempt, has_all_events=True)


def test_a_question_tells_until_when_it_waits_and_what_comes_then(conn: Conn, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="deny", expiry_seconds=60)
    [question] = told(conn, run, "human_loop.requested")
    expires_at = request_now(conn, request_id).expires_at
    assert expires_at is not None
    assert (question["onExpiry"], question["expiresAt"]) == ("deny", expires_at.isoformat())
    assert expire_all(conn) == []


def test_without_a_policy_it_waits_for_ever(conn: Conn, waits: WaitWith) -> None:
    _, request_id = waits()
    assert request_now(conn, request_id).expires_at is None
    assert expire_all(conn) == []


def test_a_denial_by_time_out_is_nobodys_no(conn: Conn, actor: Actor, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="deny")
    assert expire_all(conn) == ["denied"]
    assert expire_all(conn) == []
    [resolved] = [entry for entry in log_of(conn, run.id) if entry.type == "human_loop.resolved"]
    assert (resolved.author, resolved.data["by"], resolved.data["decision"]) == ("system", "timeout", "deny")
    assert run_now(conn, run.id).status == "running"
    request = request_now(conn, request_id)
    assert (request.status, request.decided_by) == ("expired", "timeout")
    with pytest.raises(AlreadyAnswered) as refused:
        give(conn, actor, request_id, decision="allow")
    assert refused.value.members["requestStatus"] == "expired"


def test_a_denial_by_time_out_is_delivered_once_and_stays_expired(conn: Conn, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="deny")
    expire_all(conn)
    delivery = begin_delivery(conn, request_id)
    assert delivery is not None
    assert (delivery.answer.decision, delivery.answer.by) == ("deny", "timeout")
    assert request_now(conn, request_id).status == "expired"
    applied = {"requestId": str(request_id), "outcome": "applied", "told": "Reject (no)"}
    call_back(conn, run, event(3, "human_loop.applied", applied))
    assert begin_delivery(conn, request_id) is None
    request = request_now(conn, request_id)
    assert (request.status, request.outcome_told) == ("expired", "Reject (no)")


def test_an_escalated_request_is_open_for_longer_and_says_to_whom(conn: Conn, waits: WaitWith) -> None:
    policy = {"on_expiry": "escalate", "escalate_to": "role:operator", "then": "deny"}
    run, request_id = waits(**policy, escalation_seconds=60)
    assert expire_all(conn) == ["escalated"]
    [escalated] = told(conn, run, "human_loop.escalated")
    assert (escalated["to"], escalated["by"], escalated["onExpiry"]) == ("role:operator", "timeout", "deny")
    request = request_now(conn, request_id)
    assert (request.status, request.on_expiry, request.escalated_at is not None) == ("open", "deny", True)
    assert run_now(conn, run.id).status == "waiting"
    assert expire_all(conn) == []


def test_a_denial_by_time_out_that_was_told_is_told_to_no_later_attempt(conn: Conn, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="deny")
    expire_all(conn)
    with conn.transaction():
        assert begin_delivery(conn, request_id) is not None
    applied = {"requestId": str(request_id), "outcome": "applied", "told": "no"}
    call_back(conn, run, event(3, "human_loop.applied", applied))
    with pytest.raises(Invalid, match="no such request"):
        call_back(conn, run, event(4, "human_loop.applied", applied))
    call_back(conn, run, event(4, "run.warning", {"code": "agent_lost", "message": "It was restarted."}))
    again = claim(conn, run.id)
    assert again is not None
    assert again.answers == []


def test_two_who_see_the_same_request_expired_escalate_it_once(conn: Conn, waits: WaitWith) -> None:
    run, request_id = waits(on_expiry="escalate", escalate_to="role:operator", escalation_seconds=60, then="deny")
    for done in ("escalated", None):
        with conn.transaction():
            assert expire(conn, request_id) == done
    assert len(told(conn, run, "human_loop.escalated")) == 1
    assert request_now(conn, request_id).status == "open"


def test_whom_it_is_escalated_to_may_stay_away_too(conn: Conn, waits: WaitWith) -> None:
    waits(on_expiry="escalate", escalate_to="role:operator", then="deny")
    assert [*expire_all(conn), *expire_all(conn), *expire_all(conn)] == ["escalated", "denied"]


def test_somebody_must_be_there_to_escalate_to(start: StartOne) -> None:
    with pytest.raises(Invalid):
        start(human_loop=HumanPolicy(on_expiry="escalate", escalate_to=f"user:{uuid4()}"))

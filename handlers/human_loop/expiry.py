"""Expire requests without an answer in time: deny them automatically, park their run, or escalate them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from handlers.enqueue import defer_delivery
from handlers.event_log import NewEvent, append, hold_session, run_event
from handlers.runs.parking import go_on_if_free, park
from schema.events import HumanEscalated
from schema.executor_api import Answer
from schema.rows import HumanRequestRow, RunRow
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_the, jsonb

TIMEOUT = "timeout"
"""The decider of an expired request; never a person."""
NOBODY_ANSWERED = "Nobody answered in time. No person has said no."
Expired = Literal["denied", "parked", "escalated", "left_open"]


@dataclass(frozen=True)
class _Id:
    id: UUID


def expired_requests(conn: Conn, *, limit: int = 100) -> list[UUID]:
    """Return open requests past their deadline, the most overdue first."""
    return [row.id for row in fetch_all(conn, "expired_human_requests", _Id, limit=limit)]


def expire(conn: Conn, request_id: UUID) -> Expired | None:
    """Expire the request by its policy; return None when it was answered meanwhile. Safe to call concurrently."""
    request = fetch_one(conn, "human_request", HumanRequestRow, request_id=request_id)
    if request is None:
        return None
    head = hold_session(conn, request.session_id)
    request = fetch_one(conn, "expired_human_request", HumanRequestRow, request_id=request_id)
    if request is None:
        return None
    run = fetch_the(conn, "run_by_id", RunRow, run_id=request.run_id)
    done, events = _expire(conn, request, run)
    append(conn, head, events)
    return done


def _expire(conn: Conn, request: HumanRequestRow, run: RunRow) -> tuple[Expired, list[NewEvent]]:
    if request.on_expiry == "deny":
        return "denied", _deny(conn, request, run)
    if request.on_expiry == "escalate":
        return "escalated", _escalate(conn, request, run)
    execute(conn, "leave_human_request_open", request_id=request.id)
    if request.on_expiry == "park":
        return "parked", park(conn, run)
    return "left_open", []


def _deny(conn: Conn, request: HumanRequestRow, run: RunRow) -> list[NewEvent]:
    verdict = Answer(request_id=request.id, decision="deny", reason=NOBODY_ANSWERED, by="timeout")
    execute(conn, "expire_human_request", request_id=request.id, answer=jsonb(verdict.to_json()))
    if run.status == "waiting":
        defer_delivery(conn, request.id)
    return [
        run_event(run, "human_loop.resolved", {**verdict.to_json(), "by": TIMEOUT}),
        *go_on_if_free(conn, run),
    ]


def _escalate(conn: Conn, request: HumanRequestRow, run: RunRow) -> list[NewEvent]:
    escalated = fetch_the(conn, "escalate_human_request", HumanRequestRow, request_id=request.id)
    data = HumanEscalated.model_validate(
        {
            "request_id": escalated.id,
            "to": escalated.escalate_to,
            "expires_at": escalated.expires_at,
            "on_expiry": escalated.on_expiry,
        }
    )
    return [run_event(run, "human_loop.escalated", data.to_json())]

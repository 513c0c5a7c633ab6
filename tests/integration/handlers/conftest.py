"""A session at hand: a registered provider that can do everything, one that can do nothing, and an actor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from handlers.access.permissions import Actor, actor_of
from handlers.access.users import user_named
from handlers.callbacks.receive import CallbackPolicy, receive_callback
from handlers.event_log import run_events
from handlers.providers.registry import announce_providers
from handlers.runs.claim import Claimed, claim_run
from handlers.runs.settle import RetryPolicy
from handlers.runs.start import Start, StartedRun, start_run
from handlers.runs.stop import StopPolicy
from schema.events import Envelope, SourceEvent
from schema.executor_api import CallbackAnswer, CallbackBody, ProviderDeclared
from schema.options import RunOptions
from schema.rows import RunRow
from schema.sql import Conn, fetch_the
from schema.wire import Json

ABLE = ProviderDeclared(
    name="demo",
    title="Demo",
    ready=True,
    options=["model", "mode"],
    capabilities={"resume": True, "humanLoop": True},
)
PLAIN = ProviderDeclared(name="plain", title="Plain", ready=True)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STOP = StopPolicy(deadline_seconds=30)
NO_DELAY = RetryPolicy(delay_seconds=0)
POLICY = CallbackPolicy(lease_seconds=60, retry=NO_DELAY)

StartOne = Callable[..., StartedRun]


@pytest.fixture
def actor(conn: Conn) -> Actor:
    announce_providers(conn, [ABLE, PLAIN])
    return actor_of(user_named(conn, "admin"))


@pytest.fixture
def start(conn: Conn, actor: Actor) -> StartOne:
    """Starts a run; keyword arguments overrule the defaults of `Start`."""

    def start_one(prompt: str = "hello", **changes: object) -> StartedRun:
        defaults = {"options": RunOptions(), "max_attempts": 3, "traceparent": TRACEPARENT}
        with conn.transaction():
            wanted = Start(prompt=prompt, **{**defaults, **changes})  # type: ignore[arg-type]
            return start_run(conn, actor, wanted, stop_policy=STOP)

    return start_one


def claim(conn: Conn, run_id: UUID) -> Claimed | None:
    with conn.transaction():
        return claim_run(conn, run_id, owner="test", lock_seconds=60)


def event(n: int, type_: str, data: Json | None = None) -> SourceEvent:
    return SourceEvent(id=uuid4(), n=n, type=type_, at=datetime.now(UTC), data=data or {})


def call_back(conn: Conn, run: RunRow, *events: SourceEvent) -> CallbackAnswer:
    body = CallbackBody(epoch=run.epoch or 0, attempt=run.attempt, events=list(events))
    with conn.transaction():
        return receive_callback(conn, run.id, body, policy=POLICY)


def started(n: int = 1, conversation: str | None = "conversation-1") -> SourceEvent:
    return event(n, "run.started", {"provider": "demo", "agentSessionId": conversation})


def finished(n: int, status: str = "succeeded") -> SourceEvent:
    reason = {"code": "agent_crashed", "message": "It crashed."}
    return event(n, "run.finished", {"status": status, **({} if status == "succeeded" else {"reason": reason})})


def run_now(conn: Conn, run_id: UUID) -> RunRow:
    return fetch_the(conn, "run_by_id", RunRow, run_id=run_id)


def log_of(conn: Conn, run_id: UUID) -> list[Envelope]:
    return run_events(conn, run_id, after=0, limit=10_000)


def jobs(conn: Conn, task: str, run_id: UUID) -> int:
    """How many jobs wait for the run."""
    rows = conn.execute(
        "SELECT 1 FROM procrastinate_jobs WHERE task_name = %s AND status = 'todo' AND args ->> 'run_id' = %s",
        (task, str(run_id)),
    )
    return len(rows.fetchall())

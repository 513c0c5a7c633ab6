"""A user who is disabled leaves nothing running: each of their runs ends, with an event that says why."""

from __future__ import annotations

from uuid import UUID

import pytest

from handlers.access.permissions import Actor
from handlers.access.users import disable_user, enable_user
from handlers.runs.leavers import runs_of_disabled_users, stop_run_of_disabled_user
from handlers.runs.stop import StopPolicy
from schema.sql import Conn
from tests.integration.handlers.conftest import StartOne, call_back, claim, log_of, run_now, started

pytestmark = pytest.mark.both_postgres
POLICY = StopPolicy(deadline_seconds=30)


def stop_all(conn: Conn) -> list[bool]:
    return [stop_run_of_disabled_user(conn, leaver, policy=POLICY) for leaver in runs_of_disabled_users(conn)]


def reason_in_log(conn: Conn, run_id: UUID, type_: str) -> object:
    return next(event.data["reason"]["code"] for event in log_of(conn, run_id) if event.type == type_)


def test_a_queued_run_is_cancelled_and_says_why(conn: Conn, actor: Actor, start: StartOne) -> None:
    run = start("hello").run
    disable_user(conn, actor.name)
    assert stop_all(conn) == [True]
    assert run_now(conn, run.id).status == "cancelled"
    assert reason_in_log(conn, run.id, "run.finished") == "user_disabled"


def test_a_live_run_is_stopped_and_says_why(conn: Conn, actor: Actor, start: StartOne) -> None:
    run = start("hello").run
    claimed = claim(conn, run.id)
    assert claimed is not None
    call_back(conn, claimed.run, started())
    disable_user(conn, actor.name)
    assert stop_all(conn) == [True]
    assert run_now(conn, run.id).status == "cancelling"
    assert reason_in_log(conn, run.id, "run.cancelling") == "user_disabled"
    assert stop_all(conn) == []


def test_a_user_who_is_back_in_time_loses_nothing(conn: Conn, actor: Actor, start: StartOne) -> None:
    run = start("hello").run
    disable_user(conn, actor.name)
    [leaver] = runs_of_disabled_users(conn)
    enable_user(conn, actor.name)
    assert not stop_run_of_disabled_user(conn, leaver, policy=POLICY)
    assert run_now(conn, run.id).status == "queued"

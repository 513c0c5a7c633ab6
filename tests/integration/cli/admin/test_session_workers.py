"""`python -m cli workers` on a real database; what it asks of the job worker is done by one in this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from cli.__main__ import main
from cli.admin.session_workers import configured_limits
from cli.times import moment_words
from handlers.access.permissions import actor_of
from handlers.access.users import user_named
from handlers.sessions.edit import open_session
from jobs.context import TaskContext
from jobs.perform_request import perform_request
from tests.integration.jobs.conftest import callbacks, environment, make_context
from tests.integration.jobs.waiting import wait_until

__all__ = ["callbacks", "environment", "make_context"]
LONG_AGO = datetime(2020, 6, 15, 12, tzinfo=UTC)
Run = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture
def run(database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("DATABASE_URL", database)

    def run_command(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        capsys.readouterr()
        status = main(("workers", *arguments, "--json"))
        said = capsys.readouterr()
        told = [line for line in said.out.splitlines() if line.startswith("[")]
        return status, json.loads(told[-1]) if told else [], said.err

    return run_command


@pytest.fixture
def session_id(conn: psycopg.Connection) -> UUID:
    with conn.transaction():
        return open_session(conn, actor_of(user_named(conn, "admin")), title="").id


@pytest.fixture
def context(make_context: Callable[..., TaskContext]) -> TaskContext:
    return make_context(executor_spares=0)


@contextmanager
def performing(context: TaskContext, conn: psycopg.Connection) -> Iterator[None]:
    """The next operation is done, as a job worker does it."""

    def perform() -> None:
        select = "SELECT id FROM operations WHERE finished_at IS NULL"
        wait_until(lambda: conn.execute(select).fetchone() is not None, lambda: "nothing was asked for")
        row = conn.execute(select).fetchone()
        assert row is not None
        perform_request(context, row[0])

    thread = threading.Thread(target=perform)
    thread.start()
    yield
    thread.join()


def test_a_worker_is_activated_shown_and_listed(
    run: Run, conn: psycopg.Connection, context: TaskContext, session_id: UUID
) -> None:
    with performing(context, conn):
        status, [active], _ = run("activate", str(session_id))
    assert (status, active) == (0, {"sessionId": str(session_id), "status": "active", "epoch": 1})
    _, [shown], _ = run("show", str(session_id))
    assert (shown["status"], shown["host"], shown["sync"]["isSaved"]) == ("active", "process", True)
    _, [why], _ = run("why", str(session_id))
    assert why["reason"] == "The worker is idle; it is stopped after 900 s without a run."
    _, listed, _ = run("list")
    assert [each["sessionId"] for each in listed] == [str(session_id)]
    with performing(context, conn):
        status, [swept], _ = run("stop-idle", str(session_id))
    assert (status, swept["scanned"], swept["stopped"]) == (0, 1, 1)
    with performing(context, conn):
        status, [removed], _ = run("remove", str(session_id))
    assert (status, removed) == (0, {"sessionId": str(session_id)})
    _, [shown], _ = run("show", str(session_id))
    assert shown["status"] == "absent"
    _, [why], _ = run("why", str(session_id))
    asked_for = {each["what"]: each["detail"]["reason"] for each in reversed(why["history"])}
    assert list(asked_for) == ["worker.starting", "worker.stopping", "worker.removing"]
    assert all("operator:" in reason for reason in asked_for.values())


def test_what_is_not_saved_is_kept_unless_forced(
    run: Run, conn: psycopg.Connection, context: TaskContext, session_id: UUID
) -> None:
    with performing(context, conn):
        run("activate", str(session_id))
    conn.execute("UPDATE session_workers SET dirty_since = now(), dirty_seq = 1")
    with performing(context, conn):
        status, [kept], _ = run("remove", str(session_id))
    assert (status, kept["sessionId"]) == (1, str(session_id))
    assert "not removed" in kept["kept"]
    with performing(context, conn):
        status, [removed], _ = run("remove", str(session_id), "--force", "lose-unsaved-changes", "--reason", "a test")
    assert (status, removed["lost"]["isAnything"]) == (0, True)
    row = conn.execute("SELECT actor, detail ->> 'reason' FROM audit_log ORDER BY id DESC").fetchone()
    assert row is not None
    assert (row[0].split(":")[0], row[1]) == ("operator", "a test")


def test_times_are_words_for_people_and_utc_in_json(
    run: Run, conn: psycopg.Connection, session_id: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    conn.execute(
        "INSERT INTO session_workers (session_id, status, epoch, host, status_since)"
        " VALUES (%s, 'stopped', 1, 'h', %s)",
        [session_id, LONG_AGO],
    )
    conn.execute(
        "INSERT INTO audit_log (at, actor, action, session_id) VALUES (%s, 'operator:ada', 'worker.stopping', %s)",
        [LONG_AGO, session_id],
    )
    words, in_utc = moment_words(LONG_AGO), "2020-06-15T12:00:00Z"
    assert run("show", str(session_id))[1][0]["statusSince"] == in_utc
    assert run("why", str(session_id))[1][0]["history"][0]["at"] == in_utc
    assert main(("workers", "show", str(session_id))) == 0
    assert f"statusSince: {words}\n" in capsys.readouterr().out
    assert main(("workers", "why", str(session_id))) == 0
    assert f"  at: {words}, what: worker.stopping, actor: operator:ada" in capsys.readouterr().out


def test_a_session_without_a_worker_is_said(run: Run, session_id: UUID) -> None:
    assert run("show", str(session_id)) == (1, [], "This session has no worker.\n")


@pytest.mark.parametrize("verb", ["why", "sync", "remove", "stop-idle"])
def test_a_session_that_is_not_there_has_no_worker(
    run: Run, conn: psycopg.Connection, context: TaskContext, verb: str
) -> None:
    session = "00000000-0000-4000-8000-000000000001"
    if verb in ("why", "sync"):  # without a job worker
        assert run(verb, session) == (1, [], "This session has no worker.\n")
        return
    with performing(context, conn):
        assert run(verb, session) == (1, [], "This session has no worker.\n")


def test_a_removal_is_told_to_people(
    run: Run, conn: psycopg.Connection, context: TaskContext, session_id: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    with performing(context, conn):
        run("activate", str(session_id))
    assert main(("workers", "show", str(session_id))) == 0
    assert "sync.isSaved: yes\n" in capsys.readouterr().out
    with performing(context, conn):
        assert main(("workers", "remove", str(session_id))) == 0
    assert capsys.readouterr().out.endswith(f"sessionId: {session_id}\nThe worker is removed.\n")


def test_force_needs_a_reason(run: Run, session_id: UUID) -> None:
    status, _, said = run("remove", str(session_id), "--force", "lose-unsaved-changes")
    assert (status, said) == (1, "A forced removal needs --reason.\n")


def test_limits_are_those_of_the_deployment() -> None:
    found = configured_limits({"WORKER_IDLE_STOP_SECONDS": "5", "WORKER_REMOVE_AFTER_SECONDS": "0"})
    assert (found.idle_stop, found.remove_after) == (5, None)

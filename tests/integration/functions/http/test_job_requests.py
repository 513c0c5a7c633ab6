"""What the API asks of the job worker is waited for, and a worker that is away is told."""

from __future__ import annotations

import threading

import psycopg
import pytest

import functions.http.job_requests
from handlers.job_requests import finish_job_request
from schema.wire import Json
from tests.integration.functions.conftest import Api, answer_json, wait_until

pytestmark = pytest.mark.both_postgres_in_full
DRAIN, RECONCILE = "/api/runs/queue/drain", "/api/reconcile/runs"


@pytest.fixture
def perform(database: str) -> object:
    """Does the next operation as a job worker would; the kinds and arguments that were asked for."""
    asked: list[tuple[str, Json]] = []

    def once(result: Json | None, error: str | None) -> None:
        with psycopg.connect(database, autocommit=True) as conn:
            select = "SELECT id, kind, arguments FROM operations"
            wait_until(lambda: conn.execute(select).fetchone() is not None)
            found = conn.execute(select).fetchone()
            assert found is not None
            asked.append((found[1], found[2]))
            finish_job_request(conn, found[0], result=result, error=error)

    def begin(result: Json | None = None, error: str | None = None) -> list[tuple[str, Json]]:
        threading.Thread(target=once, args=(result, error)).start()
        return asked

    return begin


def test_a_drain_answers_what_the_worker_counted(api: Api, perform: object) -> None:
    counts = {"claimed": 2, "started": 2, "succeeded": 1, "retried": 0, "failed": 0, "canceled": 0}
    asked = perform(counts)  # type: ignore[operator]
    answer = api.post(DRAIN, {"limit": 5, "waitSeconds": 1.5})
    assert (answer.status_code, answer_json(answer)) == (200, counts)
    assert asked == [("drain_queue", {"limit": 5, "waitSeconds": 1.5})]


def test_a_reconciliation_needs_no_body(api: Api, perform: object) -> None:
    asked = perform({"scanned": 0, "reasons": []})  # type: ignore[operator]
    assert api.post(RECONCILE).status_code == 200
    assert asked == [("reconcile_runs", {})]


def test_the_jobs_are_deferred_with_the_operation(
    api: Api, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions.http.job_requests, "GRACE_SECONDS", 0.2)
    api.post(RECONCILE)
    assert conn.execute("SELECT task_name FROM procrastinate_jobs").fetchall() == [("perform_request",)]


def test_a_worker_that_is_away_is_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions.http.job_requests, "GRACE_SECONDS", 0.2)
    answer = api.post(RECONCILE)
    assert (answer.status_code, answer_json(answer)["code"]) == (503, "job_worker_unavailable")
    assert answer.headers["Retry-After"] == "2"


def test_what_was_given_up_is_never_done(api: Api, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions.http.job_requests, "GRACE_SECONDS", 0.2)
    api.post(RECONCILE)
    found = conn.execute("SELECT finished_at IS NOT NULL, error FROM operations").fetchone()
    assert found == (True, "The request was cancelled: no client waits for it.")


def test_what_the_worker_could_not_do_is_told(api: Api, perform: object) -> None:
    perform(error="no executor answers")  # type: ignore[operator]
    answer = api.post(RECONCILE)
    assert (answer.status_code, answer_json(answer)["code"]) == (503, "operation_failed")


@pytest.mark.parametrize("body", [{"limit": 0}, {"limit": 1000}, {"limit": "5"}, {"waitSeconds": 1e6}, {"nope": 1}])
def test_a_bad_drain_is_refused(api: Api, body: object) -> None:
    assert api.post(DRAIN, body).status_code == 422

"""The API behind PgBouncer in transaction mode: with the setting it serves, without it a sentence refuses the start."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from jobs.runtime.database import refuse_unfit_database
from schema.settings import BadSetting
from schema.wire import Json
from tests.integration.functions.conftest import (
    Serve,
    Served,
    free_port,
    gunicorn,
    wait_until,
)
from tests.structure.repository import ROOT

CALLS, AT_ONCE = 80, 16
REFUSED = "DATABASE_URL leads through a connection pooler. Set DATABASE_POOLER=transaction and DATABASE_DIRECT_URL"


@pytest.fixture
def behind(serve: Serve, pooled: str, database: str) -> Served:
    return serve(DATABASE_URL=pooled, DATABASE_POOLER="transaction", DATABASE_DIRECT_URL=database)


def calls_of(session_id: UUID, run_id: UUID) -> list[tuple[str, Callable[[], str], Json | None, int]]:
    """Method, path, body and the status that is right."""
    fixed: list[tuple[str, str, Json | None, int]] = [
        ("POST", "/api/sessions", {"title": "Behind a pooler"}, 201),
        ("GET", "/api/sessions", None, 200),
        ("GET", f"/api/sessions/{session_id}", None, 200),
        ("GET", f"/api/sessions/{session_id}/transcript", None, 200),
        ("GET", f"/api/sessions/{session_id}/events", None, 200),
        ("POST", "/api/runs/start", {"prompt": "hello", "provider": "demo"}, 202),
        ("GET", f"/api/runs/{run_id}", None, 200),
        ("GET", f"/api/why/runs/{run_id}", None, 200),
        ("GET", "/api/providers", None, 200),
    ]
    bound = ("POST", lambda: f"/api/runs/{uuid4()}/bind", {"provider": "elsewhere", "prompt": "drive"}, 201)
    return [*((method, partial(str, path), body, right) for method, path, body, right in fixed), bound]


def test_eighty_calls_through_a_pool_of_two_all_succeed(behind: Served, pooled: str) -> None:
    driver = behind.bind()
    assert driver.report(driver.delta("begun"))[0] == 200
    wanted = list(islice(cycle(calls_of(driver.session_id, driver.run_id)), CALLS))
    with behind.client() as client, ThreadPoolExecutor(AT_ONCE) as callers:
        answers = list(callers.map(lambda one: client.request(one[0], one[1](), json=one[2]).status_code, wanted))
    assert [(one[1](), status) for one, status in zip(wanted, answers, strict=True) if status != one[3]] == []
    callbacks_of_several_runs_are_stored(behind)
    assert settings_left_in(pooled) == {("0", "on", "auto")}


def settings_left_in(pooled: str) -> set[tuple[str, ...]]:
    """What the pooler's two connections to the server hand on to the next client."""
    shown = "SELECT current_setting('statement_timeout'), current_setting('synchronous_commit'), "
    with psycopg.connect(pooled) as one, psycopg.connect(pooled) as other:  # each holds one in its transaction
        return {conn.execute(shown + "current_setting('plan_cache_mode')").fetchone() for conn in (one, other)}  # type: ignore[misc]


def callbacks_of_several_runs_are_stored(behind: Served) -> None:
    drivers = [behind.bind() for _ in range(8)]
    with ThreadPoolExecutor(AT_ONCE) as callers:
        answers = list(callers.map(lambda driver: driver.report(*[driver.delta("word") for _ in range(10)]), drivers))
    assert [status for status, _ in answers] == [200] * 8
    with behind.client() as client:
        pages = [client.get(f"/api/sessions/{driver.session_id}/events").json() for driver in drivers]
    assert [sum(event["type"] == "message.delta" for event in page["items"]) for page in pages] == [10] * 8


def test_a_stream_gets_events_and_listening_goes_past_the_pooler(behind: Served, conn: psycopg.Connection) -> None:
    driver, said, opened = behind.bind(), threading.Event(), threading.Event()

    def read() -> None:
        path = f"/api/runs/{driver.run_id}/stream"
        with behind.client() as client, client.stream("GET", path) as stream:
            for line in stream.iter_lines():
                opened.set()
                if "said through a pooler" in line:
                    said.set()
                    return

    reader = threading.Thread(target=read)
    reader.start()
    assert opened.wait(30)
    assert driver.report(driver.delta("said through a pooler"))[0] == 200
    assert said.wait(30)
    reader.join(30)
    listening = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"
    wait_until(lambda: conn.execute(listening).fetchone() == (1,), seconds=30)


def test_without_the_setting_a_pooler_is_refused_with_one_sentence(pooled: str, tmp_path: Path) -> None:
    assert REFUSED in refusal(tmp_path, DATABASE_URL=pooled)


def test_an_address_past_the_pooler_that_is_pooled_too_is_refused(pooled: str, tmp_path: Path) -> None:
    told = refusal(tmp_path, DATABASE_URL=pooled, DATABASE_POOLER="transaction", DATABASE_DIRECT_URL=pooled)
    assert "DATABASE_DIRECT_URL leads through a connection pooler" in told


def refusal(folder: Path, **settings: str) -> str:
    """What a server that does not start says last."""
    log = folder / "refused.log"
    with gunicorn(settings["DATABASE_URL"], free_port(), log, settings) as process:
        assert process.wait(60) == 2
    return log.read_text().splitlines()[-1]


def test_a_job_worker_refuses_a_pooler(pooled: str, database: str) -> None:
    with pytest.raises(BadSetting, match=REFUSED):
        refuse_unfit_database(pooled, "")
    refuse_unfit_database(database, "")
    refuse_unfit_database(database, "transaction")


def test_migrations_refuse_a_pooler(pooled: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "schema.migrate"],
        cwd=ROOT, env={"PATH": "/usr/bin", "DATABASE_URL": pooled}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert REFUSED in done.stderr

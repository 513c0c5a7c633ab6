"""/ready tells each part that a run needs, and to monitoring whether a run can start."""

from __future__ import annotations

import psycopg
import pytest

from functions.runtime.process import api_process_of
from handlers.runs.reconcile import ReconcileLimits, part_seen
from handlers.workers.parts import report_parts
from schema.wire import Json
from tests.integration.functions.conftest import Api, answer_json, wait_until

WELL = {"host": None, "store": None, "disk": None}


def worker_says(conn: psycopg.Connection, *, job_worker: str = "one", **faults: str | None) -> None:
    with conn.transaction():
        part_seen(conn, "worker", ReconcileLimits(lease_seconds=60))
        report_parts(conn, job_worker, {**WELL, **faults})


def ready(api: Api, *, wanted: str = "requests") -> tuple[int, Json]:
    """The answer once this process listens to the database, which begins in a thread of its own."""
    wait_until(lambda: answer_json(api.get("/ready"))["listening"] == "ok", seconds=30, what=lambda: "not listening")
    answered = api.get(f"/ready?for={wanted}")
    return answered.status_code, answer_json(answered)


def test_all_parts_are_told_and_a_run_can_start(api: Api, conn: psycopg.Connection) -> None:
    worker_says(conn)
    status, told = ready(api, wanted="runs")
    assert status == 200
    assert {part: told[part] for part in ("worker", "host", "store", "disk", "providers", "runs")} == {
        "worker": "ok", "host": "ok", "store": "ok", "disk": "ok", "providers": "ok", "runs": "ok",
    }  # fmt: skip


@pytest.mark.parametrize(("part", "word"), [("host", "away"), ("store", "away")])
def test_a_part_at_fault_holds_runs_and_the_api_still_serves(
    api: Api, conn: psycopg.Connection, part: str, word: str
) -> None:
    worker_says(conn, **{part: "The engine at tcp://10.0.0.1 does not answer."})
    status, told = ready(api, wanted="runs")
    assert (status, told[part], told["runs"]) == (503, word, "held")
    assert "10.0.0.1" not in str(told)
    assert ready(api)[0] == 200


def test_a_process_that_no_longer_listens_serves_nobody(
    api: Api, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_says(conn)
    assert ready(api)[0] == 200
    api_process_of(api.client.application).notifier.stop()
    monkeypatch.setattr("functions.runtime.log_notifier.SILENT_SECONDS", 0.0)  # as it is that many seconds later
    answered = api.get("/ready")
    told = answer_json(answered)
    assert (answered.status_code, told["database"], told["listening"], told["runs"]) == (503, "ok", "away", "held")


def test_a_part_is_well_when_one_job_worker_has_it_well(api: Api, conn: psycopg.Connection) -> None:
    worker_says(conn, host="The engine does not answer.")
    worker_says(conn, job_worker="two")
    assert ready(api, wanted="runs")[1]["host"] == "ok"


def test_before_any_provider_and_without_a_job_worker_no_run_can_start(api: Api, conn: psycopg.Connection) -> None:
    assert ready(api, wanted="runs")[1]["worker"] == "away"
    worker_says(conn)
    conn.execute("DELETE FROM providers")
    conn.commit()
    status, told = ready(api, wanted="runs")
    assert (status, told["providers"], told["runs"]) == (503, "none", "held")


def test_what_a_silent_job_worker_reported_counts_no_longer(api: Api, conn: psycopg.Connection) -> None:
    worker_says(conn)
    conn.execute("UPDATE part_reports SET reported_at = now() - interval '1 minute'")
    conn.commit()
    status, told = ready(api, wanted="runs")
    assert (status, told["host"], told["runs"]) == (200, "unknown", "ok"), "the worker is seen, and starts runs"


def test_a_disk_that_is_full_keeps_the_host_from_starting_workers(api: Api, conn: psycopg.Connection) -> None:
    full = "The disk of /data has 100 MB left. Free some space."
    worker_says(conn, disk=full, host=full)
    status, told = ready(api, wanted="runs")
    assert (status, told["disk"], told["host"], told["runs"]) == (503, "full", "away", "held")


def test_a_disk_that_is_low_is_told_and_holds_no_run(api: Api, conn: psycopg.Connection) -> None:
    worker_says(conn, disk="The disk of /data has 1000 MB left. Free some space.")
    status, told = ready(api, wanted="runs")
    assert (status, told["disk"], told["runs"]) == (200, "low", "ok")

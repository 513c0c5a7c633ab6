"""A server refuses what it cannot do with one sentence, and says how it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from functions.app import create_app
from functions.runtime.process import api_process_of
from functions.runtime.settings import read_settings
from schema.settings import BadSetting
from tests.integration.functions.conftest import (
    SECRET,
    Api,
    Serve,
    answer_json,
    environment,
    free_port,
    is_ready,
    wait_until,
)
from tests.structure.repository import ROOT

GOOD = {"database_url": "postgresql:///x", "secret_key": SECRET}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"secret_key": "zz"}, "RUNYARD_SECRET_KEY"),
        ({"secret_key": "ab"}, "RUNYARD_SECRET_KEY"),
        ({"database_url": ""}, "DATABASE_URL"),
        ({"database_url": "postgres//me:secret@db/x"}, "DATABASE_URL: must be an address like postgresql://"),
        ({"api_threads": 0}, "API_THREADS: input should be greater than or equal to 8."),
        ({"api_threads": "many"}, "API_THREADS"),
        ({"api_threads": 16, "api_streams_max": 16}, "API_STREAMS_MAX is 16, but it must be above 0 and below"),
        ({"public_url": "ftp://x"}, "RUNYARD_PUBLIC_URL: must be an address like"),
        ({"auth": "open"}, "RUNYARD_AUTH"),
        ({"run_lease_seconds": -1}, "RUN_LEASE_SECONDS"),
        ({"run_lease_seconds": 1e12}, "RUN_LEASE_SECONDS: input should be less than or equal to 86400."),
        ({"run_stop_deadline_seconds": 1e12}, "RUN_STOP_DEADLINE_SECONDS: input should be less than or equal"),
        ({"run_queue_retry_delay_ms": 10**30}, "RUN_QUEUE_RETRY_DELAY_MS: input should be less than or equal"),
        ({"worker_idle_stop_seconds": 1e12}, "WORKER_IDLE_STOP_SECONDS"),
        ({"log_level": "LOUD"}, "LOG_LEVEL"),
        ({"database_pooler": "statement"}, "DATABASE_POOLER"),
        ({"database_pooler": "transaction"}, "DATABASE_POOLER=transaction needs DATABASE_DIRECT_URL"),
        ({"database_direct_url": "postgres//me:secret@db/x"}, "DATABASE_DIRECT_URL: must be an address like"),
    ],
)
def test_a_bad_setting_is_one_sentence(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadSetting) as refused:
        read_settings(**{**GOOD, **given})
    assert sentence.lower() in str(refused.value).lower()
    assert "\n" not in str(refused.value)


def test_streams_take_three_quarters_of_the_threads() -> None:
    assert read_settings(**GOOD, api_threads=40).api_streams_max == 30


def gunicorn_refuses(database: str, *arguments: str, **more: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "functions/gunicorn.conf.py", *arguments, "functions.wsgi:app"],
        cwd=ROOT,
        env=environment(database, free_port(), more),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_server_with_a_bad_setting_ends_with_the_sentence(database: str) -> None:
    status, said = gunicorn_refuses(database, RUNYARD_SECRET_KEY="short")
    assert (status, said.startswith("runyard: RUNYARD_SECRET_KEY")) == (2, True), said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_the_local_administrator_is_offered_on_loopback_only(database: str, address: str) -> None:
    status, said = gunicorn_refuses(database, "--bind", address)
    assert (status, "listens on loopback only" in said) == (2, True), said


def test_settings_of_other_systems_are_told_to_mean_nothing(serve: Serve) -> None:
    served = serve(CONTROL_PLANE_STORAGE="memory", FILE_BROWSER_ROOT="/srv")
    warned = [line["message"] for line in served.log_lines() if line["level"] == "warning"]
    assert [message.split()[0] for message in warned] == ["CONTROL_PLANE_STORAGE", "FILE_BROWSER_ROOT"]


def test_a_server_ends_when_asked_and_leaves_nothing(serve: Serve) -> None:
    served = serve()
    served.process.terminate()
    assert served.process.wait(10) == 0


def test_a_server_that_reads_its_configuration_again_keeps_listening(serve: Serve) -> None:
    served = serve()
    master = psutil.Process(served.process.pid)
    (first,) = master.children()

    master.send_signal(signal.SIGHUP)

    wait_until(
        lambda: len(master.children()) == 1 and master.children() != [first] and is_ready(served),
        seconds=30,
        what=lambda: served.log.read_text()[-4000:],
    )
    said = [str(line["message"]).split()[0] for line in served.log_lines()]
    assert (said.count("Listening"), said.count("Handling")) == (1, 1)


@pytest.mark.both_postgres
def test_a_ready_server_tells_that_the_worker_is_away(api: Api) -> None:
    answer = api.get("/ready")
    assert answer_json(answer)["worker"] == "away"


def test_a_server_without_its_database_says_so(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    dsn = f"postgresql://x@127.0.0.1:{free_port()}/x"
    app = create_app(read_settings(database_url=dsn, secret_key=SECRET, local_token_file=token))
    process = api_process_of(app)
    process.start()
    client = app.test_client()
    try:
        assert client.get("/health").status_code == 200
        ready = client.get("/ready")
        assert (ready.status_code, answer_json(ready)["database"]) == (503, "away")
        refused = client.get("/api/sessions", headers={"Authorization": "Bearer t"})
        assert (refused.status_code, answer_json(refused)["code"]) == (503, "database_unavailable")
        assert refused.headers["Retry-After"] == "2"
        assert "away" in client.get("/").get_data(as_text=True)
    finally:
        process.stop()


def test_a_database_without_tables_is_not_ready(empty_database: str) -> None:
    app = create_app(read_settings(database_url=empty_database, secret_key=SECRET))
    process = api_process_of(app)
    process.start()
    try:
        answer = app.test_client().get("/ready")
        assert (answer.status_code, answer_json(answer)["migrations"]) == (503, "pending")
    finally:
        process.stop()


@pytest.mark.parametrize(("wanted", "are_all"), [("true", False), ("false", True)])
def test_a_process_stays_on_one_cpu_unless_told_otherwise(serve: Serve, wanted: str, *, are_all: bool) -> None:
    (worker,) = psutil.Process(serve(API_ON_ONE_CPU=wanted).process.pid).children()
    cpus = {frozenset(os.sched_getaffinity(thread.id)) for thread in worker.threads()}
    assert len(cpus) == 1  # the threads share them
    assert len(next(iter(cpus))) == (len(os.sched_getaffinity(0)) if are_all else 1)

"""The doctor: a whole deployment is well, and each thing that is wrong is named with what to do about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from handlers.providers.registry import announce_providers
from jobs.doctor import Finding
from jobs.doctor.deployment import check_logins, check_postgres, check_providers
from jobs.doctor.reading_key import check_reading_key
from jobs.doctor.store import PART, check_store
from schema.executor_api import ProviderDeclared
from schema.sql import Conn
from tests.object_stores import ROOT, RunningStore
from tests.store_faults import Fault, HurtStore


def wrong(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.state == "wrong"]


def doctor(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    told = {**os.environ, **environment, "RUNYARD_SECRET_KEY": "ab" * 32, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "jobs", "doctor", *arguments]
    return subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, check=False)


def test_a_deployment_that_is_well_is_called_so(database: str, object_store: RunningStore) -> None:
    done = doctor({"DATABASE_URL": database, **object_store.environment}, "--json")
    findings = [Finding(**each) for each in json.loads(done.stdout)]
    assert (done.returncode, wrong(findings)) == (0, [])
    assert {finding.part for finding in findings} == {"postgres", PART, "providers", "host"}
    assert object_store.keys() == set()


def test_what_is_wrong_is_a_line_with_what_to_do_and_a_status(database: str, object_store: RunningStore) -> None:
    environment = {**object_store.environment, "S3_SECRET_ACCESS_KEY": "mistyped"}
    done = doctor({"DATABASE_URL": database, **environment})
    assert done.returncode == 1
    assert "WRONG  object store" in done.stdout
    assert "-> check S3_ACCESS_KEY_ID" in done.stdout
    assert "mistyped" not in done.stdout + done.stderr


def test_a_reading_key_that_writes_or_reads_nothing_is_wrong(object_store: RunningStore) -> None:
    settings = object_store.settings
    [writing] = check_reading_key(settings, settings)
    assert (writing.state, writing.what) == ("wrong", "the API's key can write")
    [unknown] = check_reading_key(settings, replace(settings, access_key_id="nobody"))
    assert (unknown.state, "S3_READ_ACCESS_KEY_ID" in unknown.todo) == ("wrong", True)
    assert object_store.keys() == set()


def test_an_api_without_a_key_of_its_own_is_a_note(database: str, object_store: RunningStore) -> None:
    assert [finding.state for finding in check_reading_key(object_store.settings, None)] == ["note"]
    environment = {**object_store.environment, "S3_READ_ACCESS_KEY_ID": object_store.settings.access_key_id or ""}
    environment["S3_READ_SECRET_ACCESS_KEY"] = object_store.settings.secret_access_key or ""
    done = doctor({"DATABASE_URL": database, **environment})
    assert done.returncode == 1
    assert "the API's key can write" in done.stdout


def test_running_without_a_store_is_reported_as_a_note() -> None:
    assert [finding.state for finding in check_store(None)] == ["note"]


@pytest.mark.parametrize(
    ("change", "todo"),
    [
        ({"endpoint_url": "http://127.0.0.1:1"}, "S3_ENDPOINT_URL"),
        ({"worker_endpoint_url": "http://127.0.0.1:1"}, "S3_WORKER_ENDPOINT_URL"),
        ({"bucket": "not-there"}, "create it"),
        ({"access_key_id": "nobody"}, "S3_ACCESS_KEY_ID"),
    ],
)
def test_a_wrong_setting_of_the_store_is_named(object_store: RunningStore, change: dict[str, str], todo: str) -> None:
    findings = wrong(check_store(replace(object_store.settings, **change)))  # type: ignore[arg-type]
    assert any(todo in finding.todo for finding in findings), findings


@pytest.mark.parametrize(
    ("hurt", "todo"),
    [(lambda way: way.fill_up(), "space"), (lambda way: way.fail(times=None), "load")],
    ids=["full", "overloaded"],
)
def test_a_store_that_fails_is_named(
    object_store: RunningStore, hurt_store: HurtStore, hurt: Callable[[HurtStore], object], todo: str
) -> None:
    hurt(hurt_store)
    findings = wrong(check_store(object_store.at(hurt_store.url).settings))
    assert any(todo in finding.todo for finding in findings), findings


@pytest.mark.parametrize("skip", [0, 1, 5])
def test_a_store_that_does_not_answer_is_waited_for_once(
    object_store: RunningStore, hurt_store: HurtStore, monkeypatch: pytest.MonkeyPatch, skip: int
) -> None:
    monkeypatch.setattr("jobs.doctor.store.PATIENCE_SECONDS", 0.5)
    fault = hurt_store.hurt(Fault(skip=skip, times=None, hold=threading.Event()))
    assert fault.hold is not None
    try:
        [finding] = wrong(check_store(object_store.at(hurt_store.url).settings))
    finally:
        fault.hold.set()
    assert "does not answer in time" in finding.what
    assert len(hurt_store.requests) <= skip + 2  # the last one clears up


def test_a_clock_that_is_wrong_is_named(object_store: RunningStore, hurt_store: HurtStore) -> None:
    hurt_store.date = "Mon, 01 Jan 2024 00:00:00 GMT"
    findings = wrong(check_store(object_store.at(hurt_store.url).settings))
    assert any("clock" in finding.what for finding in findings)


def test_a_database_that_cannot_be_used_is_named(empty_database: str) -> None:
    assert "schema.migrate" in check_postgres(empty_database)[0].todo
    assert "DATABASE_URL" in check_postgres("postgresql://nobody@127.0.0.1:1/nothing")[0].todo


def test_a_database_of_an_older_release_is_named(database: str) -> None:
    with psycopg.connect(database) as conn:
        conn.execute("DELETE FROM _yoyo_migration WHERE migration_id = '0008.one-row-a-call'")
    (finding,) = wrong(check_postgres(database))
    assert "0008.one-row-a-call" in finding.what
    assert "schema.migrate" in finding.todo


def test_agents_without_a_login_are_named(database: str, conn: Conn) -> None:
    reason = "No login is configured: set one of CODEX_KEY (see providers.toml)."
    announce_providers(conn, [ProviderDeclared(name="codex", title="Codex", ready=False, reason=reason)])
    conn.commit()
    assert [(said.part, said.state, said.what) for said in check_logins(database)] == [("agent codex", "note", reason)]


def test_a_providers_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "providers.toml"
    broken.write_text("[providers")
    assert wrong(check_providers(broken))
    assert wrong(check_providers(tmp_path / "nothing.toml"))

"""What other commands of a clone learn of the Runyard that runs there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.local.data_dir import DataDir
from cli.local.pidfile import Running, forget_running, running_settings, told_settings, write_running
from cli.local.postgres import postgres_dsn

TOLD = {"RUNYARD_PUBLIC_URL": "https://runyard.example"}


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path)


@pytest.fixture
def supervisor(data_dir: DataDir) -> Iterator[subprocess.Popen[bytes]]:
    program = [sys.executable, "-c", "input()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE) as process:
        write_running(data_dir, Running(pid=process.pid, url="http://127.0.0.1:1", settings=TOLD))
        yield process
        process.kill()


@pytest.mark.usefixtures("supervisor")
def test_they_are_told_what_it_was_told(data_dir: DataDir) -> None:
    assert running_settings(data_dir, {"WORKER_HOST": "process", "LANG": "C"}) == TOLD


@pytest.mark.usefixtures("supervisor")
def test_another_deployment_is_what_the_shell_says(data_dir: DataDir) -> None:
    environ = {"DATABASE_URL": "postgresql:///other", "WORKER_HOST": "process"}
    assert running_settings(data_dir, environ) == environ


@pytest.mark.usefixtures("supervisor")
def test_the_address_that_env_prints_is_no_other_deployment(data_dir: DataDir) -> None:
    assert running_settings(data_dir, {"DATABASE_URL": postgres_dsn(data_dir.postgres)}) == TOLD


@pytest.mark.usefixtures("supervisor")
def test_another_deployment_may_be_named_by_a_file(data_dir: DataDir, tmp_path: Path) -> None:
    file = tmp_path / "url"
    environ = {"DATABASE_URL_FILE": str(file)}
    assert running_settings(data_dir, environ) == environ
    file.write_text("postgresql:///other\n")
    assert running_settings(data_dir, environ) == environ
    file.write_text(postgres_dsn(data_dir.postgres))
    assert running_settings(data_dir, environ) == TOLD


@pytest.mark.usefixtures("supervisor")
def test_a_process_that_is_younger_than_the_record_is_another(data_dir: DataDir) -> None:
    os.utime(data_dir.running, (1, 1))
    assert running_settings(data_dir, {"LANG": "C"}) == {"LANG": "C"}


def test_where_nothing_runs_the_shell_counts(data_dir: DataDir, supervisor: subprocess.Popen[bytes]) -> None:
    supervisor.kill()
    supervisor.wait()
    assert running_settings(data_dir, {"LANG": "C"}) == {"LANG": "C"}
    forget_running(data_dir)
    assert running_settings(data_dir, {"LANG": "C"}) == {"LANG": "C"}


def test_the_record_holds_no_setting_but_those_that_commands_need() -> None:
    environ = {**TOLD, "S3_SECRET_ACCESS_KEY": "key", "WORKER_IDLE_STOP_SECONDS": "5", "WORKER_HOST": "process"}
    assert told_settings(environ) == {**TOLD, "WORKER_IDLE_STOP_SECONDS": "5"}

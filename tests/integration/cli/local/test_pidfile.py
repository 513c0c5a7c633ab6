"""What other commands of a clone learn of the Runyard that runs there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.local.data_dir import DataDir
from cli.local.pidfile import Running, forget_running, told, write_running
from cli.local.postgres import postgres_dsn


@pytest.fixture
def places(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path)


@pytest.fixture
def supervisor(places: DataDir) -> Iterator[subprocess.Popen[bytes]]:
    program = [sys.executable, "-c", "input()"]
    with subprocess.Popen(program, env={"WORKER_HOST": "docker"}, stdin=subprocess.PIPE) as process:
        write_running(places, Running(pid=process.pid, url="http://127.0.0.1:1"))
        yield process
        process.kill()


@pytest.mark.usefixtures("supervisor")
def test_they_are_told_what_it_was_told(places: DataDir) -> None:
    assert told(places, {"WORKER_HOST": "process", "LANG": "C"}) == {"WORKER_HOST": "docker"}


@pytest.mark.usefixtures("supervisor")
def test_another_deployment_is_what_the_shell_says(places: DataDir) -> None:
    environ = {"DATABASE_URL": "postgresql:///other", "WORKER_HOST": "process"}
    assert told(places, environ) == environ


@pytest.mark.usefixtures("supervisor")
def test_the_address_that_env_prints_is_no_other_deployment(places: DataDir) -> None:
    assert told(places, {"DATABASE_URL": postgres_dsn(places.postgres)}) == {"WORKER_HOST": "docker"}


@pytest.mark.usefixtures("supervisor")
def test_a_process_that_is_younger_than_the_record_is_another(places: DataDir) -> None:
    os.utime(places.running, (1, 1))
    assert told(places, {"LANG": "C"}) == {"LANG": "C"}


def test_where_nothing_runs_the_shell_counts(places: DataDir, supervisor: subprocess.Popen[bytes]) -> None:
    supervisor.kill()
    supervisor.wait()
    assert told(places, {"LANG": "C"}) == {"LANG": "C"}
    forget_running(places)
    assert told(places, {"LANG": "C"}) == {"LANG": "C"}

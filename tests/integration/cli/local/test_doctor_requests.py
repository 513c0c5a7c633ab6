"""The supervisor runs the doctor for other commands, and gives none of its settings away."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.local.data_dir import DataDir, make_data_dir, remove_runtime_files
from cli.local.doctor import AT_ONCE, DoctorRequests, socket_path
from cli.local.pidfile import hold_lock
from tests.integration.cli.conditions import wait_for

BAD_SETTING = {"PATH": os.environ["PATH"], "DATABASE_URL": "postgresql:///x", "RUNYARD_SECRET_KEY": "5e" * 32}


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[DataDir]:
    data_dir = DataDir(tmp_path / "data")
    make_data_dir(data_dir)
    with hold_lock(data_dir):
        yield data_dir
    remove_runtime_files(data_dir)


def ask(data_dir: DataDir) -> subprocess.Popen[str]:
    names = ("DATABASE_URL", "DATABASE_URL_FILE")
    environ = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "doctor"],
        env={**environ, "RUNYARD_DATA_DIR": str(data_dir.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_caller_gets_the_words_and_the_status_of_a_doctor_with_the_supervisors_settings(data_dir: DataDir) -> None:
    requests = DoctorRequests(data_dir, {**BAD_SETTING, "WORKER_CONCURRENCY": "many"})
    caller = ask(data_dir)

    def has_ended() -> bool:
        requests.run_once()
        return caller.poll() is not None

    wait_for(has_ended, seconds=60)
    said, errors = caller.communicate()
    assert (caller.returncode, said) == (2, ""), errors
    assert "WORKER_CONCURRENCY" in errors
    assert requests.processes() == []


def test_before_the_start_is_over_the_caller_is_told_to_try_again(data_dir: DataDir) -> None:
    caller = ask(data_dir)
    said, _ = caller.communicate(timeout=60)
    assert caller.returncode == 1
    assert "make up is still starting" in said


def test_what_is_no_request_starts_nothing_and_hinders_nothing(data_dir: DataDir) -> None:
    requests = DoctorRequests(data_dir, BAD_SETTING)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, open(os.devnull, "wb") as null:
        sender.connect(str(socket_path(data_dir)))
        sender.send(b"doctor")
        socket.send_fds(sender, [b"doctor"], [null.fileno()])
    requests.run_once()
    assert requests.processes() == []


def test_many_requests_at_once_wait_for_each_other(data_dir: DataDir) -> None:
    requests = DoctorRequests(data_dir, {**BAD_SETTING, "WORKER_CONCURRENCY": "many"})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, open(os.devnull, "wb") as null:
        sender.connect(str(socket_path(data_dir)))
        for _ in range(AT_ONCE + 1):
            socket.send_fds(sender, [b"doctor"], [null.fileno()] * 3)
    requests.run_once()
    assert (len(requests.processes()), requests.readable()) == (AT_ONCE, [])

    def all_ended() -> bool:
        requests.run_once()
        return not requests.processes()

    wait_for(all_ended, seconds=60)
    assert len(requests.readable()) == 1

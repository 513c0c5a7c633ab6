"""When `up` refuses: it says why in a sentence, and nothing was started."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.local.data_dir import DataDir, make_data_dir
from cli.local.pidfile import Running, hold_lock, write_running
from cli.local.programs import environment
from cli.local.settings_check import check_settings
from cli.local.supervisor import StartFailed
from cli.local.up import up


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[DataDir]:
    data_dir = DataDir(tmp_path / "data")
    make_data_dir(data_dir)
    yield data_dir
    shutil.rmtree(data_dir.sockets)


def test_taken_port_is_named_with_the_way_out(data_dir: DataDir, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert up({"RUNYARD_DATA_DIR": str(data_dir.root), "RUNYARD_PORT": str(port)}) == 1
    assert f"Port {port} is taken by another program on this machine" in (said := capsys.readouterr().out)
    assert f"RUNYARD_PORT={port + 1} make up" in said
    assert not data_dir.postgres.exists()


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1"])
def test_port_that_is_none_is_said(data_dir: DataDir, capsys: pytest.CaptureFixture[str], port: str) -> None:
    assert up({"RUNYARD_DATA_DIR": str(data_dir.root), "RUNYARD_PORT": port}) == 1
    assert "a number from 1 to 65535" in capsys.readouterr().out


def test_a_data_folder_that_cannot_be_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "data", Path("/proc/data")):
        assert up({"RUNYARD_DATA_DIR": str(folder)}) == 1
        said = capsys.readouterr().out
        assert f"The data folder {folder} is not writable: " in said
        assert "RUNYARD_DATA_DIR" in said


def test_users_of_a_deployment_are_refused_before_anything_starts(
    data_dir: DataDir, capsys: pytest.CaptureFixture[str]
) -> None:
    assert up({"RUNYARD_DATA_DIR": str(data_dir.root), "RUNYARD_AUTH": "token"}) == 1
    assert "RUNYARD_AUTH must be local" in capsys.readouterr().out
    assert not data_dir.postgres.exists()


def test_the_public_address_is_what_was_said_and_executors_call_this_machine(data_dir: DataDir) -> None:
    told = environment(data_dir, port=8081, environ={"RUNYARD_PUBLIC_URL": "https://runyard.example"})
    assert told["RUNYARD_PUBLIC_URL"] == "https://runyard.example"
    assert told["RUNYARD_CALLBACK_URL"] == "http://127.0.0.1:8081"
    assert environment(data_dir, port=8081, environ={})["RUNYARD_PUBLIC_URL"] == "http://127.0.0.1:8081"


def test_second_start_says_where_the_first_runs(data_dir: DataDir, capsys: pytest.CaptureFixture[str]) -> None:
    write_running(data_dir, Running(pid=4711, url="http://127.0.0.1:8085"))
    with hold_lock(data_dir):
        assert up({"RUNYARD_DATA_DIR": str(data_dir.root)}) == 1
    assert "already running for this clone at http://127.0.0.1:8085 (process 4711)" in capsys.readouterr().out


def test_data_are_not_deleted_while_they_are_used(data_dir: DataDir) -> None:
    with hold_lock(data_dir):
        done = delete(data_dir, "--yes")
    assert done.returncode == 1
    assert "Stop it with Ctrl-C" in done.stdout
    assert data_dir.token.exists()


def test_data_are_not_deleted_without_an_answer(data_dir: DataDir) -> None:
    assert delete(data_dir).returncode == 1
    assert data_dir.token.exists()


def test_data_are_deleted_when_told(data_dir: DataDir) -> None:
    assert delete(data_dir, "--yes").returncode == 0
    assert not data_dir.root.exists()
    make_data_dir(data_dir)


def delete(data_dir: DataDir, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", "clean-data", *flags],
        env={"RUNYARD_DATA_DIR": str(data_dir.root)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_files_of_settings_that_make_up_makes_itself_are_left_out(data_dir: DataDir, tmp_path: Path) -> None:
    (tmp_path / "previous").write_text("ab" * 32)
    files = {"DATABASE_URL_FILE": "/url", "RUNYARD_SECRET_KEY_FILE": "/key"}
    previous = {"RUNYARD_SECRET_KEY_PREVIOUS_FILE": str(tmp_path / "previous")}

    told = environment(data_dir, port=8081, environ={**files, **previous, "API_KEY_FILE": "/of-a-provider"})

    assert not {*files, *previous} & set(told)
    assert told["RUNYARD_SECRET_KEY_PREVIOUS"] == "ab" * 32
    assert told["API_KEY_FILE"] == "/of-a-provider"
    check_settings({**told, "PATH": os.environ["PATH"]}, has_trial_store=True)


def test_an_unreadable_file_of_the_previous_key_is_said(data_dir: DataDir) -> None:
    with pytest.raises(StartFailed, match="RUNYARD_SECRET_KEY_PREVIOUS_FILE names a file that cannot be read"):
        environment(data_dir, port=8081, environ={"RUNYARD_SECRET_KEY_PREVIOUS_FILE": "/none"})

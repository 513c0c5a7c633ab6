"""The embedded PostgreSQL: kept data, proof before a stale server is stopped, and no server without its starter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from cli.local import postgres_account
from cli.local.data_dir import NotPrivate, make_private_folder, socket_folder
from cli.local.postgres import (
    PostgresFailed,
    postgres_dsn,
    running_postgres,
    start_postgres,
    stop_postgres,
    stop_stale_server,
)
from cli.local.postgres_account import account_of_nobody
from tests.databases import binaries_of
from tests.integration.cli.conditions import wait_for

HOLDS_A_SERVER = """
import sys
from pathlib import Path
from cli.local.postgres import start_postgres
print(start_postgres(Path(sys.argv[1]), binaries=Path(sys.argv[2])).process.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def binaries(postgres_version: int) -> Path:
    return binaries_of(postgres_version)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data" / "postgres"
    folder.parent.mkdir()
    yield folder
    stop_stale_server(folder)
    sockets = socket_folder(folder)
    for socket in sockets.glob("*") if sockets.exists() else ():
        socket.unlink()
    if sockets.exists():
        sockets.rmdir()


def note(dsn: str, text: str) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS notes (text text)")
        conn.execute("INSERT INTO notes VALUES (%s)", [text])


def notes(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as conn:
        return [text for (text,) in conn.execute("SELECT text FROM notes")]


@pytest.mark.both_postgres
def test_data_are_kept_for_the_next_start(data_dir: Path, binaries: Path, postgres_version: int) -> None:
    with running_postgres(data_dir, binaries=binaries) as first:
        note(first.dsn, "kept")
    with running_postgres(data_dir, binaries=binaries) as second:
        assert notes(second.dsn) == ["kept"]
        with psycopg.connect(second.dsn) as conn:
            assert conn.info.server_version // 10_000 == postgres_version
            assert conn.execute("SHOW fsync").fetchone() == ("on",)
            assert conn.execute("SHOW listen_addresses").fetchone() == ("",)
            assert conn.execute("SELECT lower('Ä')").fetchone() == ("ä",)
    assert first.process.returncode == second.process.returncode == 0
    assert data_dir.stat().st_mode & 0o777 == 0o700
    assert socket_folder(data_dir).stat().st_mode & 0o777 == 0o700


@pytest.mark.both_postgres
def test_comes_back_after_kill_9_with_what_was_committed(data_dir: Path, binaries: Path) -> None:
    first = start_postgres(data_dir, binaries=binaries)
    note(first.dsn, "committed")
    first.process.kill()
    first.process.wait()
    with running_postgres(data_dir, binaries=binaries) as second:
        assert notes(second.dsn) == ["committed"]


def test_a_server_that_an_earlier_start_left_is_stopped_first(data_dir: Path, binaries: Path) -> None:
    left = start_postgres(data_dir, binaries=binaries)
    with running_postgres(data_dir, binaries=binaries) as second:
        assert left.process.wait(timeout=10) == 0
        assert second.process.poll() is None


def test_a_foreign_process_with_the_old_id_is_left_alone(data_dir: Path, binaries: Path) -> None:
    with running_postgres(data_dir, binaries=binaries):
        pid_file = (data_dir / "postmaster.pid").read_text()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        (data_dir / "postmaster.pid").write_text("\n".join([str(stranger.pid), *pid_file.split("\n")[1:]]))
        with running_postgres(data_dir, binaries=binaries) as postgres:
            assert psycopg.connect(postgres.dsn).execute("SELECT 1").fetchone() == (1,)
        assert stranger.poll() is None
        stranger.kill()


def test_server_ends_when_its_starter_is_killed(data_dir: Path, binaries: Path) -> None:
    command = [sys.executable, "-c", HOLDS_A_SERVER, str(data_dir), str(binaries)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as starter:
        assert starter.stdout is not None
        server = psutil.Process(int(starter.stdout.readline()))
        starter.kill()
    wait_for(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)


def test_half_made_data_of_a_start_that_was_cut_off_do_no_harm(data_dir: Path, binaries: Path) -> None:
    half = data_dir.with_name("postgres.new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with running_postgres(data_dir, binaries=binaries) as postgres:
        note(postgres.dsn, "whole")
    assert not half.exists()


def test_data_of_another_major_version_are_refused(data_dir: Path, binaries: Path) -> None:
    with running_postgres(data_dir, binaries=binaries):
        pass
    (data_dir / "PG_VERSION").write_text("14\n")
    with pytest.raises(PostgresFailed, match="made by PostgreSQL 14"):
        start_postgres(data_dir, binaries=binaries)


def test_socket_folder_of_somebody_else_is_refused(data_dir: Path, binaries: Path) -> None:
    sockets = socket_folder(data_dir)
    sockets.mkdir(mode=0o755)
    with pytest.raises(NotPrivate):
        start_postgres(data_dir, binaries=binaries)
    sockets.rmdir()


def test_a_link_is_no_private_folder(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(NotPrivate):
        make_private_folder(tmp_path / "link")


def test_address_can_be_told_without_a_server(tmp_path: Path) -> None:
    dsn = postgres_dsn(tmp_path / ("deep" * 50) / "postgres")
    assert len(psycopg.conninfo.conninfo_to_dict(dsn)["host"]) < 60  # type: ignore[arg-type]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change to another account")
def test_nobody_runs_it_where_there_are_no_user_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_account, "IN_NAMESPACE", ("false",))
    place = Path(f"/tmp/runyard-test-{os.getpid()}")
    place.mkdir(mode=0o711)
    binaries = binaries_of(15)
    assert account_of_nobody(binaries).uid == postgres_account.NOBODY
    try:
        with running_postgres(place / "postgres", binaries=binaries) as postgres:
            assert psutil.Process(postgres.process.pid).uids().real == postgres_account.NOBODY
            note(postgres.dsn, "by nobody")
        with running_postgres(place / "postgres", binaries=binaries) as postgres:
            assert notes(postgres.dsn) == ["by nobody"]
    finally:
        subprocess.run(["rm", "-rf", place, socket_folder(place / "postgres")], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change to another account")
def test_a_place_that_nobody_can_reach_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_account, "IN_NAMESPACE", ("false",))
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    with pytest.raises(postgres_account.NoAccount, match="RUNYARD_DATA_DIR"):
        start_postgres(hidden / "postgres", binaries=binaries_of(15))


def test_stop_does_not_wait_for_sessions(data_dir: Path, binaries: Path) -> None:
    postgres = start_postgres(data_dir, binaries=binaries)
    with psycopg.connect(postgres.dsn) as conn:
        conn.execute("SELECT 1")
        stop_postgres(postgres.process)
        assert postgres.process.returncode == 0
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")

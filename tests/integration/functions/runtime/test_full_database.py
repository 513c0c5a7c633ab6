"""PostgreSQL on a small file system that is full: what people are told, and that all goes on once there is room."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from cli.local.data_dir import socket_folder
from cli.local.postgres import embedded_binaries, start_postgres, stop_postgres
from handlers.access.tokens import admit_token
from jobs.doctor.deployment import check_postgres
from tests.databases import Server
from tests.integration.functions.conftest import TOKEN, Served, free_port, gunicorn, is_ready, wait_until

SIZE = "256m"
FULL = "The database's disk is full. Try again shortly."


@dataclass(frozen=True)
class SmallDisk:
    """An API over a PostgreSQL whose data have a small file system of their own."""

    folder: Path
    dsn: str
    api: Served

    @property
    def ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        with suppress(OSError), self.ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(2**20))

    def empty(self) -> None:
        self.ballast.unlink()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="runyard-full-") as name:
        options = f"size={SIZE},mode=711"  # the server may run as another user, who passes through
        mount = ["mount", "-t", "tmpfs", "-o", options, "none", name]
        try:
            mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no program to mount a small file system with")
        if mounted.returncode != 0:
            pytest.skip(f"this account may not mount a small file system: {mounted.stderr.strip()}")
        yield Path(name)
        subprocess.run(["umount", "--lazy", name], check=True)


@pytest.fixture
def disk(folder: Path, tmp_path: Path) -> Iterator[SmallDisk]:
    postgres = start_postgres(folder / "data", binaries=embedded_binaries(), log=tmp_path / "postgres.log")
    try:
        server = Server(postgres)
        server.make_template()
        dsn = server.dsn(server.create_database())
        with psycopg.connect(dsn) as conn:
            admit_token(conn, user_name="admin", label="tests", token=TOKEN)
        port, log = free_port(), tmp_path / "api.log"
        with gunicorn(dsn, port, log, {}) as process:
            api = Served(process, port, log)
            wait_until(lambda: is_ready(api), seconds=60, what=lambda: log.read_text()[-4000:])
            yield SmallDisk(folder, dsn, api)
    finally:
        stop_postgres(postgres.process)
        shutil.rmtree(socket_folder(postgres.pgdata), ignore_errors=True)


def test_a_full_disk_of_the_database_is_named_and_nothing_acknowledged_is_lost(disk: SmallDisk) -> None:
    driver = disk.api.bind()
    assert check_postgres(disk.dsn)[0].state == "ok"
    disk.fill()
    with disk.api.client() as client:
        stored = 0
        while True:  # the pages that PostgreSQL has already hold some more
            event = driver.delta(secrets.token_hex(2000))
            status, told = driver.report(event)
            if status != 200:
                break
            stored += 1
        assert (status, told["code"], told["detail"]) == (503, "database_unavailable", FULL)
        ready, for_runs = client.get("/ready"), client.get("/ready?for=runs")
        assert (ready.status_code, ready.json()["database"], for_runs.status_code) == (200, "full", 503)
        assert len(client.get(f"/api/sessions/{driver.session_id}/events").json()["items"]) > 0
        [found] = check_postgres(disk.dsn)
        assert (found.state, found.what) == ("wrong", "The database's disk is full.")

        disk.empty()
        wait_until(lambda: driver.report(event)[0] == 200, seconds=60)  # the pool may be connecting again
        assert driver.finish()[0] == 200
        assert check_postgres(disk.dsn)[0].state == "ok"
        assert client.get(f"/api/runs/{driver.run_id}").json()["status"] == "succeeded"
    with psycopg.connect(disk.dsn) as conn:
        kept = conn.execute("SELECT count(*) FROM run_events WHERE type = 'message.delta'").fetchone()
    assert kept == (stored + 1,)
    refused = [line["why"] for line in disk.api.log_lines() if "answering 503" in line["message"]]
    assert set(refused) == {"The database's disk is full."}
    assert "Traceback" not in disk.api.log.read_text()

"""A primary that is killed and a standby that is promoted: a real pair of PostgreSQL 15 with synchronous replication.

tests/FAULTS.md: fault 39. The pair is this test's own.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from cli.local.data_dir import socket_folder
from cli.local.postgres import DATABASE, Postgres, launch_postgres, postgres_dsn, start_postgres, stop_postgres
from cli.local.postgres_account import find_account
from schema.database_faults import READ_ONLY
from schema.migrate import apply_migrations
from tests.acceptance.faults.plane import Plane, running_plane
from tests.acceptance.talk import Json, Talk, texts
from tests.acceptance.waiting import wait_until
from tests.databases import OLDEST, binaries_of, folder_in_memory
from tests.model_server.starter import ModelServer

pytestmark = pytest.mark.stack
AUTO = {"mode": "auto"}


@dataclass(frozen=True)
class Pair:
    """A primary that commits only what its standby has. `dsn` names both servers."""

    primary: Postgres
    standby: Postgres

    @property
    def dsn(self) -> str:
        folders = [str(socket_folder(server.pgdata)) for server in (self.primary, self.standby)]
        return make_conninfo(dbname=DATABASE, user="runyard", host=",".join(folders), port="5432,5432")

    def kill_primary(self) -> None:
        self.primary.process.send_signal(signal.SIGKILL)
        self.primary.process.wait(30)

    def promote(self) -> None:
        with psycopg.connect(self.standby.dsn, target_session_attrs="any", autocommit=True) as conn:
            assert conn.execute("SELECT pg_promote(true, 120)").fetchone() == (True,)


@contextmanager
def running_pair(folder: Path) -> Iterator[Pair]:
    binaries = binaries_of(OLDEST)
    primary = start_postgres(folder / "one" / "data", binaries=binaries)
    try:
        apply_migrations(primary.dsn)
        copy_server(primary, folder / "two" / "data", binaries=binaries)
        standby_data, log = folder / "two" / "data", folder / "two" / "log"
        process = launch_postgres(standby_data, binaries=binaries, log=log)
        pair = Pair(primary, Postgres(standby_data, postgres_dsn(standby_data), process))
        try:
            wait_until(lambda: becomes_synchronous(pair), seconds=60, what=lambda: log.read_text()[-2000:])
            yield pair
        finally:
            stop_postgres(process)
    finally:
        stop_postgres(primary.process)


def copy_server(primary: Postgres, pgdata: Path, *, binaries: Path) -> None:
    """Take a base backup that follows the primary when it is started."""
    account, source = find_account(binaries), str(socket_folder(primary.pgdata))
    pgdata.parent.mkdir()
    if account.uid is not None:
        shutil.chown(pgdata.parent, account.uid)
    subprocess.run(
        [*account.prefix, binaries / "pg_basebackup", "-h", source, "-p", "5432", "-U", "runyard", "-D", pgdata, "-R",
         "-X", "stream", "-c", "fast", "--no-sync"],
        user=account.uid, cwd="/", check=True, capture_output=True,
    )  # fmt: skip


def becomes_synchronous(pair: Pair) -> bool:
    """Set it once the standby follows: a commit waits for a synchronous standby that is missing."""
    with psycopg.connect(pair.primary.dsn, autocommit=True) as conn:
        state = conn.execute("SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'").fetchone()
        if state == ("async",):
            conn.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            conn.execute("SELECT pg_reload_conf()")
    return state == ("sync",)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(
        prefix="runyard-pair-", dir=folder_in_memory(), ignore_cleanup_errors=True
    ) as name:
        Path(name).chmod(0o711)
        with running_pair(Path(name)) as pair:
            yield pair


@pytest.fixture
def plane(pair: Pair, scripted_model: ModelServer, tmp_path: Path) -> Iterator[Plane]:
    """API and job worker that know both servers."""
    with running_plane(pair.primary.dsn, tmp_path, model_url=scripted_model.url) as plane:
        plane.database = plane.api_database = plane.worker_database = pair.dsn
        plane.make_well()
        yield plane


def ready(plane: Plane) -> Json:
    said: Json = {}
    with suppress(httpx.TransportError):
        said = httpx.get(f"{plane.url}/ready", timeout=30, trust_env=False).json()
    return said


def is_refused(plane: Plane) -> bool:
    """With the sentence that a writable server is waited for. The first calls only know that a connection was lost."""
    with plane.talk() as talk:
        answer = talk.http.post("/api/sessions", json={})
    if answer.status_code == 201:  # a backend outlives its server for a moment
        return False
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable"), answer.text
    assert int(answer.headers["retry-after"]) > 0
    return str(answer.json()["detail"]).startswith(READ_ONLY)


def test_calls_are_503_until_a_standby_is_promoted_and_then_all_goes_on_without_a_restart(
    plane: Plane, pair: Pair
) -> None:
    processes, driver = [plane.api.process.pid, plane.worker.process.pid], plane.bind()
    plane.follow(driver.session_id)
    with plane.talk() as talk:
        first = talk.start("sleep 2\nsay: over the failover", options=AUTO)
        plane.wait_for(first["runId"], "running")
        queued = talk.start("say: after the failover", sessionId=first["sessionId"], options=AUTO)
        assert driver.report(driver.delta("acknowledged before"))[0] == 200
        pair.kill_primary()
        wait_until(lambda: is_refused(plane), seconds=60, what="no call tells that a writable server is waited for")
        wait_until(lambda: ready(plane)["database"] == "away", seconds=60, what=lambda: str(ready(plane)))
        pair.promote()
        wait_until(lambda: is_well(plane), seconds=60, what=lambda: str(ready(plane)))
        all_goes_on(plane, talk, [first, queued])
    assert driver.report(driver.delta("after"))[0] == 200
    assert driver.finish()[0] == 200
    assert processes == [plane.api.process.pid, plane.worker.process.pid]
    plane.check()


def is_well(plane: Plane) -> bool:
    said = ready(plane)
    return {said.get("status"), said.get("listening"), said.get("worker")} == {"ready", "ok"}


def all_goes_on(plane: Plane, talk: Talk, started: list[Json]) -> None:
    for run, said in zip(started, ("over the failover", "after the failover"), strict=True):
        plane.wait_for(run["runId"], "succeeded")
        assert said in texts(talk.events(run["runId"]))
    assert talk.http.post("/api/sessions", json={}).status_code == 201

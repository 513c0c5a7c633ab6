"""`make doctor`: what is wrong with this clone while `make up` runs, or with what the environment names."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from cli.local.data_dir import CLONE, find_places
from cli.local.docker_workers import worker_gateway
from cli.local.object_store import brings_own_store, store_environment
from cli.local.pidfile import names_another, read_running, told
from cli.local.supervisor import StartFailed
from cli.local.up import environment, port_of

if TYPE_CHECKING:
    from cli.commands import Commands


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser("doctor", help="look at everything that is needed, say what is wrong and what to do")
    parser.add_argument("--json", action="store_true", help="findings as a JSON list")
    parser.set_defaults(run=doctor)


def doctor(asked: argparse.Namespace) -> int:
    """The job worker's own check, told what the job worker is told."""
    environ = dict(os.environ)
    places = find_places()
    if not names_another(places, environ):
        if read_running(places) is None:
            print("Runyard is not running for this clone: start it with make up. Or set DATABASE_URL and what else")
            print("the job worker of another deployment is told (README: Settings).")
            return 1
        environ = told(places, environ)
        try:
            gateway = worker_gateway(places, environ)
        except StartFailed as error:
            print(error)
            return 1
        if not brings_own_store(environ) and not places.store_port.exists():
            print(f"Nothing says where workspaces are saved: make up has left no {places.store_port}, and S3_BUCKET is")
            print("not set. Start make up again; if it had S3_* settings, set them here too.")
            return 1
        of_all = environment(places, port=port_of(environ), environ=environ, gateway=gateway)
        environ = {**of_all, **store_environment(places, environ, gateway=gateway)}
    command = [sys.executable, "-m", "jobs", "doctor", *(["--json"] if asked.json else [])]
    return subprocess.run(command, cwd=CLONE, env=environ, check=False).returncode

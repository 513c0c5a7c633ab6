"""`make doctor`: check this clone while `make up` runs, or the deployment that the environment names."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from cli.local.data_dir import CLONE, find_data_dir
from cli.local.docker_workers import worker_gateway
from cli.local.object_store import has_configured_store, store_environment
from cli.local.pidfile import NOT_RUNNING, is_running, running_settings, uses_other_database
from cli.local.supervisor import StartFailed
from cli.local.up import environment, port_of

if TYPE_CHECKING:
    from cli.commands import Commands


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser("doctor", help="check the deployment, report each fault and its fix")
    parser.add_argument("--json", action="store_true", help="print the findings as a JSON list")
    parser.set_defaults(run=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Run the job worker's own check with the job worker's settings. Return its exit status."""
    environ = dict(os.environ)
    data_dir = find_data_dir()
    if not uses_other_database(data_dir, environ):
        if not is_running(data_dir):
            print(f"{NOT_RUNNING}. To check another deployment, set")
            print("DATABASE_URL and the other settings of its job worker (docs/settings.md).")
            return 1
        environ = running_settings(data_dir, environ)
        try:
            gateway = worker_gateway(data_dir, environ)
            shared = environment(data_dir, port=port_of(environ), environ=environ, gateway=gateway)
        except StartFailed as error:
            print(error)
            return 1
        if not has_configured_store(environ) and not data_dir.store_port.exists():
            print(f"No object store is configured: {data_dir.store_port} is missing and S3_BUCKET is not set.")
            print("Run make up again. If it ran with S3_* settings, set them in this shell too.")
            return 1
        environ = {**shared, **store_environment(data_dir, environ, gateway=gateway)}
    command = [sys.executable, "-m", "jobs", "doctor", *(["--json"] if args.json else [])]
    return subprocess.run(command, cwd=CLONE, env=environ, check=False).returncode

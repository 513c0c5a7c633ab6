"""`make clean-data`: delete all data of this clone after a confirmation, and only while Runyard is stopped."""

from __future__ import annotations

import argparse
import shutil
import sys
from typing import TYPE_CHECKING

from cli.local.data_dir import find_data_dir, remove_runtime_files
from cli.local.pidfile import GRACE_SECONDS, AlreadyRunning, hold_lock, stop_leftovers
from cli.local.postgres import stop_stale_server
from cli.local.processes import end
from cli.local.session_workers import agents, executors

if TYPE_CHECKING:
    from cli.commands import Commands


def add_commands(commands: Commands) -> None:
    about = "delete all data of this clone after a confirmation"
    parser = commands.add_parser("clean-data", help=about, description=about)
    parser.add_argument("--yes", action="store_true", help="skip the confirmation")
    parser.set_defaults(run=clean_data)


def clean_data(args: argparse.Namespace) -> int:
    data_dir = find_data_dir()
    if not data_dir.root.exists():
        print(f"Nothing was deleted: {data_dir.root} does not exist.")
        return 0
    try:
        with hold_lock(data_dir):
            if not args.yes and not _confirms(f"Delete {data_dir.root} with every session, workspace and log?"):
                print("Nothing was deleted.")
                return 1
            stop_leftovers(data_dir)
            end([*executors(data_dir), *agents(data_dir)], grace_seconds=GRACE_SECONDS)
            stop_stale_server(data_dir.postgres)
            remove_runtime_files(data_dir)
            shutil.rmtree(data_dir.root)
    except AlreadyRunning:
        print("Runyard is running on this data folder. Stop it with Ctrl-C in the terminal of make up, then try again.")
        return 1
    print(f"{data_dir.root} was deleted.")
    return 0


def _confirms(question: str) -> bool:
    if not sys.stdin.isatty():
        print(f"{question} There is no terminal to confirm on. Pass --yes to delete.")
        return False
    try:
        return input(f"{question} Type yes to delete: ").strip() == "yes"
    except (EOFError, KeyboardInterrupt):
        print()
        return False

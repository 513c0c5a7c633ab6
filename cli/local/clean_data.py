"""`make clean-data`: forget everything that this clone has stored, after asking, and never while it runs."""

from __future__ import annotations

import argparse
import shutil
import sys
from typing import TYPE_CHECKING

from cli.local.data_dir import find_places
from cli.local.pidfile import GRACE_SECONDS, AlreadyRunning, hold_lock, stop_leftovers
from cli.local.postgres import stop_stale_server
from cli.local.processes import end
from cli.local.session_workers import agents, executors

if TYPE_CHECKING:
    from cli.commands import Commands


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser("clean-data", help="delete this clone's database, workspaces and logs; asks first")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(run=clean_data)


def clean_data(asked: argparse.Namespace) -> int:
    places = find_places()
    if not places.root.exists():
        print(f"There is nothing to delete: {places.root} does not exist.")
        return 0
    try:
        with hold_lock(places):
            if not asked.yes and not _agrees(f"Delete {places.root} with every session, workspace and log?"):
                print("Nothing was deleted.")
                return 1
            stop_leftovers(places)
            end([*executors(places), *agents(places)], grace_seconds=GRACE_SECONDS)
            stop_stale_server(places.postgres)
            shutil.rmtree(places.sockets, ignore_errors=True)
            shutil.rmtree(places.root)
    except AlreadyRunning:
        print("Runyard is running on these data: stop it first (Ctrl-C where make up runs).")
        return 1
    print(f"{places.root} is deleted.")
    return 0


def _agrees(question: str) -> bool:
    if not sys.stdin.isatty():
        print(f"{question} Nobody is there to answer: say --yes.")
        return False
    try:
        return input(f"{question} Type yes to do it: ").strip() == "yes"
    except (EOFError, KeyboardInterrupt):
        print()
        return False

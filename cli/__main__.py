"""`python -m cli`: what a person types."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from cli.admin import human_loop, session_workers
from cli.admin import users as admin
from cli.chat import command as chat
from cli.local import clean_data as data
from cli.local import doctor
from cli.local.up import show_database, sign_in, up

ABOUT = "Runyard on one machine: start it, talk to an agent, see and change users and apps."


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m cli", description=ABOUT)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    starter = commands.add_parser("up", help="start everything here and keep it running until Ctrl-C")
    starter.set_defaults(run=lambda _asked: up())
    signer = commands.add_parser("sign-in", help="print a fresh one-time address that signs a browser in")
    signer.set_defaults(run=lambda _asked: sign_in())
    shower = commands.add_parser("env", help="print DATABASE_URL of the embedded database, for eval in a shell")
    shower.set_defaults(run=lambda _asked: show_database())
    chat.add_command(commands)
    admin.add_commands(commands)
    session_workers.add_commands(commands)
    human_loop.add_commands(commands)
    data.add_commands(commands)
    doctor.add_commands(commands)
    asked = parser.parse_args(arguments)
    status: int = asked.run(asked)
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # whoever reads has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)

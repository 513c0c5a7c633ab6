"""`python -m cli`: parse a command line and run its command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from cli.admin import audit, file_policies, files, human_loop, job_queue, session_workers, users
from cli.chat import command as chat
from cli.local import clean_data, doctor, portal
from cli.local.up import show_database, sign_in, up
from cli.sessions import command as sessions
from cli.sessions import portal_page

ABOUT = "Run Runyard on one machine: start it, chat with an agent, manage users, apps and session workers."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status (docs/cli.md).

    `--from-make` ends with 0 on a terminal, where make would add an error of its own to the sentence that was said.
    """
    parser = argparse.ArgumentParser(prog="python -m cli", description=ABOUT)
    parser.add_argument("--from-make", action="store_true", help=argparse.SUPPRESS)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    starter = commands.add_parser("up", help="start Runyard on this machine and keep it running until Ctrl-C")
    starter.add_argument(
        "--accept-loss",
        action="store_true",
        help="start with a secret key that does not fit what is running, and say what is lost",
    )
    starter.set_defaults(run=lambda args: up(accept_loss=args.accept_loss))
    signer = commands.add_parser("sign-in", help="print a new one-time URL that signs a browser in")
    signer.set_defaults(run=lambda _args: sign_in())
    shower = commands.add_parser(
        "env", help="print an export of DATABASE_URL for the embedded database, for eval in a shell"
    )
    shower.set_defaults(run=lambda _args: show_database())
    chat.add_command(commands)
    sessions.add_commands(commands)
    portal_page.add_command(commands)
    users.add_commands(commands)
    session_workers.add_commands(commands)
    job_queue.add_commands(commands)
    human_loop.add_commands(commands)
    files.add_commands(commands)
    file_policies.add_commands(commands)
    audit.add_commands(commands)
    clean_data.add_commands(commands)
    doctor.add_commands(commands)
    portal.add_commands(commands)
    args = parser.parse_args(arguments)
    status: int = args.run(args)
    return 0 if args.from_make and sys.stderr.isatty() else status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # the reader closed the pipe, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)

"""`python -m cli`: parse a command line and run its command."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from cli.local.own_secrets import hidden_names
from schema.sealed_environment import hide_or_exit

if __name__ == "__main__":  # before slow imports: until then the environment is readable
    hide_or_exit(hidden_names(os.environ))

from cli.admin import audit, file_policies, files, human_loop, job_queue, session_workers, users
from cli.chat import command as chat
from cli.local import clean_data, doctor, portal
from cli.local.up import json_url, show_database, sign_in, up
from cli.sessions import command as sessions
from cli.sessions import portal_page

NOT_UTF_8 = "An argument has bytes that are not UTF-8. Convert it, for example with iconv -f LATIN1 -t UTF-8."
ABOUT = "Run Runyard on one machine: start it, chat with an agent, manage users, apps and session workers."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status (docs/cli.md).

    `--from-make` ends with 0 on a terminal, where make would add an error of its own to the sentence that was said.
    """
    args = make_parser().parse_args(arguments)
    status = run_command(args)
    return 0 if args.from_make and sys.stderr.isatty() else status


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; `run` of what it parsed is the command."""
    parser = argparse.ArgumentParser(prog="python -m cli", description=ABOUT)
    parser.add_argument("--from-make", action="store_true", help=argparse.SUPPRESS)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    starting = "start Runyard on this machine and keep it running until Ctrl-C"
    starter = commands.add_parser("up", help=starting, description=starting)
    starter.add_argument(
        "--accept-loss",
        action="store_true",
        help="start with a secret key that does not fit what is running, and say what is lost",
    )
    starter.set_defaults(run=lambda args: up(accept_loss=args.accept_loss))
    signing = "print a new one-time URL that signs a browser in"
    signer = commands.add_parser("sign-in", help=signing, description=signing)
    signer.add_argument("--json", action="store_true", help="print the URL as a JSON object")
    signer.set_defaults(run=lambda args: sign_in(show=json_url if args.json else str))
    showing = "print an export of DATABASE_URL for the embedded database, for eval in a shell"
    shower = commands.add_parser("env", help=showing, description=showing)
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
    return parser


def run_command(args: argparse.Namespace) -> int:
    """Run the command on any terminal: one that lacks a character shows a question mark in its place."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        status: int = args.run(args)
    except UnicodeEncodeError:  # Python hands on bytes of an argument that are not UTF-8 as lone surrogates
        print(NOT_UTF_8, file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # the reader closed the pipe, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)

"""`python -m cli queue`: list the queue's jobs, retry or cancel one, by procrastinate's own administration shell.

Jobs only carry work: the rows of runs, requests and sessions decide what is done. So no verb loses or doubles a run
(docs/operating.md).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from cli.admin.database import NoDatabase, database_url
from cli.local.data_dir import CLONE

if TYPE_CHECKING:
    from cli.commands import Commands

LISTS = ("list_jobs", "list_queues", "list_tasks", "list_locks")
VERBS = (*LISTS, "retry", "cancel")
NOT_ALLOWED = (
    "There is no such job, or its status does not allow it: jobs that are doing or failed are retried, those that are "
    "todo are cancelled."
)
ABOUT = "show the queue's jobs, retry or cancel one; without a verb: procrastinate's shell"


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser("queue", help=ABOUT, description=ABOUT)
    parser.add_argument("verb", nargs="?", choices=VERBS, metavar="VERB", help=", ".join(VERBS))
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="a job's number; for lists: task=execute_run, status=failed, details"
    )
    parser.set_defaults(run=queue)


def queue(args: argparse.Namespace) -> int:
    """Run the verb on this clone's or DATABASE_URL's queue. Return 1 when it is refused, 2 for wrong words."""
    if args.verb in ("retry", "cancel") and not (len(args.words) == 1 and args.words[0].isdecimal()):
        print(f"{args.verb} takes the number of one job, as list_jobs shows it.", file=sys.stderr)
        return 2
    try:
        # the address may lead past a pooler, and no other one may take precedence
        environ = {**os.environ, "DATABASE_URL": database_url(), "DATABASE_DIRECT_URL": ""}
    except NoDatabase as error:
        print(f"The database is unavailable: {error}", file=sys.stderr)
        return 1
    for name in ("DATABASE_URL_FILE", "DATABASE_DIRECT_URL_FILE"):
        environ.pop(name, None)
    command = [sys.executable, "-m", "procrastinate", "--app", "jobs.app.app", "shell"]
    if args.verb is None:
        return subprocess.run(command, cwd=CLONE, env=environ, check=False).returncode
    done = subprocess.run(
        [*command, args.verb, *args.words], cwd=CLONE, env=environ, capture_output=True, text=True, check=False
    )
    sys.stdout.write(done.stdout)
    if done.returncode or "Traceback" in done.stderr:  # the shell prints what went wrong and ends with 0
        print(refusal(args.verb, done.stderr), file=sys.stderr)
        return 1
    if args.verb == "cancel" and "[cancelled]" not in done.stdout:
        print(NOT_ALLOWED, file=sys.stderr)
        return 1
    return 0


def refusal(verb: str, trace: str) -> str:
    """Return one sentence about why the shell did not do it."""
    if "Job was not found" in trace or "not enough values to unpack" in trace:
        return NOT_ALLOWED
    if any(fault in trace for fault in ("InvalidTextRepresentation", "TypeError", "ValueError")):
        return f"{verb} does not know such a filter or value: see python -m cli queue, then help {verb}."
    if "ConnectorException" in trace:
        return "The database is unavailable."
    return trace.strip().splitlines()[-1]

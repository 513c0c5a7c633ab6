"""`python -m cli workers`: what the operator sees of session workers and has done with them, as in the API.

What needs executors or containers is asked of the job worker (an `operations` row), and waited for.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg

from cli.admin.users import NoDatabase, database_url
from cli.chat.screen import visible
from cli.local.data_dir import find_places
from cli.local.pidfile import told
from handlers.access.permissions import actor_of
from handlers.access.users import user_named
from handlers.job_requests import give_up, operation, request_operation
from handlers.workers.lifecycle import LifeLimits
from handlers.workers.report import list_workers, report_worker, why_worker
from handlers.workers.retirement import FORCE, watch
from schema.errors import Invalid, RunyardError, Unavailable
from schema.sql import Conn
from schema.wire import Json
from schema.worker_limits import LONGEST_SECONDS

if TYPE_CHECKING:
    from cli.commands import Commands

OPERATOR = "admin"
WAIT_SECONDS = 300.0
LOOK_SECONDS = 0.1

WorkerVerb = Callable[[Conn, argparse.Namespace], Sequence[Json]]


def add_commands(commands: Commands) -> None:
    workers = commands.add_parser("workers", help="see, start, save, stop and remove session workers")
    verbs = workers.add_subparsers(title="what to do", metavar="VERB", required=True)
    _add_verb(verbs, "list", "show every worker", list_all)
    _add_verb(verbs, "show", "show a session's worker, and up to which run it is saved", show, session=True)
    _add_verb(verbs, "why", "say why a worker is as it is, and what comes next", why, session=True)
    _add_verb(verbs, "activate", "start a session's worker", _asks("activate_worker"), session=True)
    _add_verb(verbs, "sync", "save a session's workspace now", _asks("sync_worker"), session=True)
    for name, about, kind in (
        (
            "stop-idle",
            "save and stop idle workers; that of one session at once",
            "stop_idle_workers",
        ),
        ("remove-stopped", "remove workers stopped for long; that of one session at once", "remove_stopped_workers"),
    ):
        _add_verb(verbs, name, about, _asks(kind)).add_argument("session", type=UUID, nargs="?")
    remove = _add_verb(verbs, "remove", "save, stop and remove a session's worker", remove_worker, session=True)
    remove.add_argument("--force", choices=[FORCE], help="remove it with what is not saved; it is written down")
    remove.add_argument("--reason", help="why; needed with --force")


def _add_verb(
    verbs: Commands, name: str, about: str, verb: WorkerVerb, *, session: bool = False
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=about, description=about)
    parser.add_argument("--json", action="store_true", help="JSON as the API answers it")
    if session:
        parser.add_argument("session", type=UUID)
    parser.set_defaults(run=lambda asked: run_verb(verb, asked))
    return parser


def run_verb(verb: WorkerVerb, asked: argparse.Namespace) -> int:
    """The exit status: 1 when it could not be done, or was refused."""
    try:
        with psycopg.connect(database_url(), connect_timeout=10) as conn:
            found = verb(conn, asked)
    except RunyardError as error:
        print(error.detail, file=sys.stderr)
        return 1
    except (psycopg.Error, NoDatabase) as error:
        print(f"The database cannot be used: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found) if asked.json else "\n".join(map(_told, found)))
    return 1 if any("kept" in each or each.get("failed") for each in found) else 0


def list_all(conn: Conn, _asked: argparse.Namespace) -> Sequence[Json]:
    return [each.to_json() for each in list_workers(conn)]


def show(conn: Conn, asked: argparse.Namespace) -> Sequence[Json]:
    return [report_worker(conn, asked.session, default=_limits()).to_json()]


def why(conn: Conn, asked: argparse.Namespace) -> Sequence[Json]:
    return [why_worker(conn, asked.session, default=_limits()).to_json()]


def _limits() -> LifeLimits:
    return limits(told(find_places(), os.environ))


def limits(environ: Mapping[str, str]) -> LifeLimits:
    """The deployment's, by the settings that its job worker is given. Raises Invalid."""
    try:
        idle_stop = float(environ.get("WORKER_IDLE_STOP_SECONDS") or 900)
        remove_after = float(environ.get("WORKER_REMOVE_AFTER_SECONDS") or 604_800)
    except ValueError:
        raise Invalid("WORKER_IDLE_STOP_SECONDS and WORKER_REMOVE_AFTER_SECONDS are numbers of seconds.") from None
    if not (0 <= idle_stop <= LONGEST_SECONDS and 0 <= remove_after <= LONGEST_SECONDS):
        raise Invalid("WORKER_IDLE_STOP_SECONDS and WORKER_REMOVE_AFTER_SECONDS are ten years at most; 0 is never.")
    return LifeLimits(idle_stop=idle_stop or None, remove_after=remove_after or None)


def remove_worker(conn: Conn, asked: argparse.Namespace) -> Sequence[Json]:
    arguments = _of(asked.session)
    if asked.force is not None:
        if not asked.reason:
            raise Invalid("A forced removal needs --reason.")
        epoch = watch(conn, asked.session).epoch
        arguments |= {"force": asked.force, "reason": asked.reason, "epoch": epoch}
    return [_performed(conn, "remove_worker", arguments)]


def _asks(kind: str) -> WorkerVerb:
    def ask(conn: Conn, asked: argparse.Namespace) -> Sequence[Json]:
        return [_performed(conn, kind, {} if asked.session is None else _of(asked.session))]

    return ask


def _of(session_id: UUID) -> Json:
    """One session's worker, and who asks."""
    return {"sessionId": str(session_id), "actor": f"operator:{getpass.getuser()}"}


def _performed(conn: Conn, kind: str, arguments: Json) -> Json:
    """What came of it. Raises Unavailable when it could not be done, or nobody did it in time."""
    operation_id = request_operation(conn, actor_of(user_named(conn, OPERATOR)), kind, arguments)
    conn.commit()
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found = operation(conn, operation_id)
        conn.commit()
        if found is not None and found.finished_at is not None:
            if found.error is not None:
                raise Unavailable(found.error)
            return found.result or {}
        time.sleep(LOOK_SECONDS)
    give_up(conn, operation_id)
    conn.commit()
    raise Unavailable("The job worker did not do it in time: does it run, and is it well?")


def _told(found: Json) -> str:
    """A line for what is short, an indented block for what is inside."""
    lines = []
    for key, value in found.items():
        if isinstance(value, list):
            lines.append(f"{key}: {len(value)}")
            lines += [f"  {visible(json.dumps(each))}" for each in value]
        elif isinstance(value, dict):
            lines += [f"{key}.{inner}: {visible(str(each))}" for inner, each in value.items()]
        else:
            lines.append(f"{key}: {visible(str(value))}")
    return "\n".join(lines) + "\n"

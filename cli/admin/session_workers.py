"""`python -m cli workers`: show session workers and change their state, as the API does.

Commands that need executors or containers insert a job request (a row of `operations`) and wait for the job worker.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from cli.admin.database import in_transaction
from cli.chat.screen import visible
from cli.local.data_dir import find_data_dir
from cli.local.pidfile import running_settings
from cli.table import print_table
from cli.times import ago_words, moment_of, moment_words, with_moment_words
from handlers.access.permissions import actor_of
from handlers.access.users import user_named
from handlers.job_requests import abandon_job_request, job_request, request_job
from handlers.workers.lifecycle import LifeLimits
from handlers.workers.report import list_workers, report_worker, why_worker
from handlers.workers.retirement import watch
from schema.errors import Invalid, Unavailable
from schema.job_requests import (
    FORCE,
    ActivateWorker,
    JobRequest,
    RemoveStoppedWorkers,
    RemoveWorker,
    StopIdleWorkers,
    SweepRequest,
    SyncWorker,
    WorkerRequest,
)
from schema.job_results import RemoveSweep, StopSweep, WorkerActivated, WorkerRemoval, WorkerSaved
from schema.sql import Conn
from schema.wire import Json, Wire
from schema.worker_limits import LONGEST_SECONDS

if TYPE_CHECKING:
    from cli.commands import Commands

OPERATOR = "admin"
WAIT_SECONDS = 300.0
LOOK_SECONDS = 0.1

WorkerVerb = Callable[[Conn, argparse.Namespace], Sequence[Json]]


def add_commands(commands: Commands) -> None:
    about = "list, start, sync, stop and remove session workers"
    workers = commands.add_parser("workers", help=about, description=about)
    verbs = workers.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_verb(verbs, "list", "list all session workers", list_all)
    _add_verb(verbs, "show", "show a session's worker and the last run that its snapshot contains", show, session=True)
    _add_verb(verbs, "why", "explain a worker's state and its next step", why, session=True)
    _add_verb(verbs, "activate", "start a session's worker", _requester(ActivateWorker, WorkerActivated), session=True)
    syncing = "sync a session's workspace to the object store now"
    _add_verb(verbs, "sync", syncing, sync_worker, session=True, otherwise="There was nothing to save.")
    for name, about, sweep in (
        (
            "stop-idle",
            "sync and stop idle workers; with a session, stop its worker now",
            _sweeper(StopIdleWorkers, StopSweep),
        ),
        (
            "remove-stopped",
            "remove long-stopped workers; with a session, remove its worker now",
            _sweeper(RemoveStoppedWorkers, RemoveSweep),
        ),
    ):
        _add_verb(verbs, name, about, sweep).add_argument("session", type=UUID, nargs="?", help="a session's id")
    removing = "sync, stop and remove a session's worker"
    remove = _add_verb(verbs, "remove", removing, remove_worker, session=True, otherwise="The worker is removed.")
    remove.add_argument(
        "--force", choices=[FORCE], help="remove it although unsaved files are lost; the loss is recorded"
    )
    remove.add_argument("--reason", help="the reason; required with --force")


def _add_verb(
    verbs: Commands, name: str, about: str, verb: WorkerVerb, *, session: bool = False, otherwise: str = ""
) -> argparse.ArgumentParser:
    """Add a verb. `otherwise` is said of a result that names neither a snapshot nor a reason for keeping the worker."""
    parser = verbs.add_parser(name, help=about, description=about)
    parser.add_argument("--json", action="store_true", help="print the API's JSON")
    if session:
        parser.add_argument("session", type=UUID, help="the session's id")
    parser.set_defaults(run=lambda args: run_verb(verb, args, otherwise=otherwise))
    return parser


def run_verb(verb: WorkerVerb, args: argparse.Namespace, *, otherwise: str = "") -> int:
    """Run the verb and print its result. Return the exit status: 1 when it fails or is refused."""
    items = in_transaction(verb, args)
    if items is None:
        return 1
    if args.json:
        print(json.dumps(items))
    elif verb is list_all:
        print_table(("session", "status", "host", "saved", "next"), list(map(_cells, items)))
    else:
        print("\n".join(line for item in items for line in _lines(item, otherwise=otherwise)))
    return 1 if any("kept" in item or item.get("failed") for item in items) else 0


def list_all(conn: Conn, _args: argparse.Namespace) -> Sequence[Json]:
    return [item.to_json() for item in list_workers(conn, default=_default_limits())]


def show(conn: Conn, args: argparse.Namespace) -> Sequence[Json]:
    return [report_worker(conn, args.session, default=_default_limits()).to_json()]


def why(conn: Conn, args: argparse.Namespace) -> Sequence[Json]:
    return [why_worker(conn, args.session, default=_default_limits()).to_json()]


def _default_limits() -> LifeLimits:
    return configured_limits(running_settings(find_data_dir(), os.environ))


def configured_limits(environ: Mapping[str, str]) -> LifeLimits:
    """Return the deployment's life limits from the job worker's settings. Raise Invalid for a bad value."""
    try:
        idle_stop = float(environ.get("WORKER_IDLE_STOP_SECONDS") or 900)
        remove_after = float(environ.get("WORKER_REMOVE_AFTER_SECONDS") or 604_800)
    except ValueError:
        raise Invalid("WORKER_IDLE_STOP_SECONDS and WORKER_REMOVE_AFTER_SECONDS must be numbers of seconds.") from None
    if not (0 <= idle_stop <= LONGEST_SECONDS and 0 <= remove_after <= LONGEST_SECONDS):
        raise Invalid(
            "WORKER_IDLE_STOP_SECONDS and WORKER_REMOVE_AFTER_SECONDS must be at most ten years. 0 disables them."
        )
    return LifeLimits(idle_stop=idle_stop or None, remove_after=remove_after or None)


def sync_worker(conn: Conn, args: argparse.Namespace) -> Sequence[Json]:
    watch(conn, args.session)  # raises NotFound
    return [_run_job(conn, SyncWorker(session_id=args.session, actor=_operator()), WorkerSaved)]


def remove_worker(conn: Conn, args: argparse.Namespace) -> Sequence[Json]:
    if args.force is None:
        return [_run_job(conn, RemoveWorker(session_id=args.session, actor=_operator()), WorkerRemoval)]
    if not args.reason:
        raise Invalid("A forced removal needs --reason.")
    request = RemoveWorker(
        session_id=args.session,
        actor=_operator(),
        force=args.force,
        reason=args.reason,
        epoch=watch(conn, args.session).epoch,
    )
    return [_run_job(conn, request, WorkerRemoval)]


def _requester(request: type[WorkerRequest], result: type[Wire]) -> WorkerVerb:
    return lambda conn, args: [_run_job(conn, request(session_id=args.session, actor=_operator()), result)]


def _sweeper(request: type[SweepRequest], result: type[Wire]) -> WorkerVerb:
    def sweep(conn: Conn, args: argparse.Namespace) -> Sequence[Json]:
        actor = None if args.session is None else _operator()
        return [_run_job(conn, request(session_id=args.session, actor=actor), result)]

    return sweep


def _operator() -> str:
    return f"operator:{getpass.getuser()}"


def _run_job(conn: Conn, request: JobRequest, result: type[Wire]) -> Json:
    """The result as the API answers it. Raises Unavailable when the request failed, or no job worker did it in time."""
    job_request_id = request_job(conn, actor_of(user_named(conn, OPERATOR)), request)
    conn.commit()
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        done = job_request(conn, job_request_id)
        conn.commit()
        if done is not None and done.finished_at is not None:
            if done.error is not None:
                raise Unavailable(done.error)
            return result.model_validate(done.result or {}).to_json()
        time.sleep(LOOK_SECONDS)
    abandon_job_request(conn, job_request_id)
    conn.commit()
    raise Unavailable("The job worker did not finish the request in time. Check that it runs: `python -m cli doctor`.")


def _cells(item: Json) -> list[str]:
    sync = item["sync"]
    saved = f"not since {_ago(sync['dirtySince'])}" if sync.get("dirtySince") else _ago(sync.get("syncedAt")) or "-"
    due = item.get("nextDeadline")
    return [
        item["sessionId"],
        item["status"],
        item.get("host") or "-",
        saved,
        f"{item.get('nextStep') or ''} {moment_words(moment_of(due))}".strip() if due else "",
    ]


def _ago(text: str | None) -> str:
    return ago_words(moment_of(text)) if text else ""


def _lines(item: Json, *, otherwise: str) -> Iterator[str]:
    """Yield a line for each scalar, and one for each entry of a list. Times are in words."""
    for key, value in with_moment_words(item).items():
        if isinstance(value, list):
            yield f"{key}: {len(value)}"
            yield from (f"  {_in_one_line(entry)}" for entry in value)
        elif isinstance(value, dict):
            yield from (f"{key}.{inner}: {_in_one_line(inner_value)}" for inner, inner_value in value.items())
        else:
            yield f"{key}: {_in_one_line(value)}"
    if otherwise and not item.keys() & {"snapshotId", "kept"}:
        yield otherwise


def _in_one_line(value: object) -> str:
    """Return `name: value, name: value` of an object, with those of an inner object in the same row."""
    if isinstance(value, dict):
        named = [
            _in_one_line(inner) if isinstance(inner, dict) else f"{name}: {_in_one_line(inner)}"
            for name, inner in value.items()
        ]
        return ", ".join(filter(None, named))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return visible(value if isinstance(value, str) else json.dumps(value)).replace("\n", " ")

"""`python -m cli sessions`, `runs` and `show`: what there is, and what an agent did, over the API."""

from __future__ import annotations

import argparse
import json
from itertools import islice
from typing import TYPE_CHECKING, get_args
from uuid import UUID

from cli.admin.remote import RemoteVerb, add_remote_verb
from cli.chat.client import Api
from cli.chat.pages import pages
from cli.commands import whole_number
from cli.sessions.run_page import show_run
from cli.table import print_table
from cli.times import ago_words, length_words, moment_of
from schema.rows import RunStatus
from schema.wire import Json

if TYPE_CHECKING:
    from cli.commands import Commands

DEFAULT_LIMIT = 20


def add_commands(commands: Commands) -> None:
    lister = _add_list(commands, "sessions", "list your sessions, the last used first", list_sessions)
    lister.add_argument("--search", metavar="TEXT", help="only sessions whose title or prompts contain this text")
    lister.add_argument("--archived", action="store_true", help="the archived sessions instead")
    runs = _add_list(commands, "runs", "list runs, newest first; operators see those of everyone", list_runs)
    runs.add_argument("--session", type=UUID, metavar="ID", help="only runs of this session")
    runs.add_argument("--status", choices=get_args(RunStatus), help="only runs in this state")
    runs.add_argument("--stuck", action="store_true", help="only runs that have long waited for a part of Runyard")
    shower = add_remote_verb(commands, "show", "show a run: its prompt, what the agent did, and how it ended", show_run)
    shower.add_argument("run_id", type=UUID, metavar="RUN")
    shower.add_argument("--json", action="store_true", help="print the run and its events as one JSON object")


def _add_list(commands: Commands, name: str, about: str, run: RemoteVerb) -> argparse.ArgumentParser:
    parser = add_remote_verb(commands, name, about, run)
    parser.add_argument(
        "--limit", type=whole_number(least=1), default=DEFAULT_LIMIT, metavar="N", help=f"default: {DEFAULT_LIMIT}"
    )
    parser.add_argument("--json", action="store_true", help="print the API's JSON as a list")
    return parser


def list_sessions(api: Api, args: argparse.Namespace) -> int:
    query = {"sort": "activity", "q": args.search, "archived": "true" if args.archived else None}
    sessions = list(islice(pages(api, "/api/sessions", query), args.limit))
    if args.json:
        print(json.dumps(sessions))
    else:
        print_table(("session", "status", "used", "title"), [_session_cells(session) for session in sessions])
    return 0


def list_runs(api: Api, args: argparse.Namespace) -> int:
    query = {
        "sessionId": str(args.session) if args.session else None,
        "status": args.status,
        "stuck": "true" if args.stuck else None,
    }
    runs = list(islice(pages(api, "/api/runs", query), args.limit))
    if args.json:
        print(json.dumps(runs))
    else:
        columns = ("run", "status", "agent", "started", "took", "session")
        print_table(columns, [_run_cells(run) for run in runs])
    return 0


def _session_cells(session: Json) -> list[str]:
    asks = session["needsMe"]
    status = f"asks you {asks} questions" if asks > 1 else "asks you" if asks else session["status"]
    return [session["sessionId"], status, ago_words(moment_of(session["lastActivityAt"])), session["title"] or "-"]


def _run_cells(run: Json) -> list[str]:
    title = run.get("sessionTitle") or run["sessionId"]
    began = ago_words(moment_of(run.get("startedAt") or run["createdAt"]))
    return [run["runId"], run["status"], run["provider"], began, took_words(run), title]


def took_words(run: Json) -> str:
    if "startedAt" not in run or "finishedAt" not in run:
        return ""
    return length_words((moment_of(run["finishedAt"]) - moment_of(run["startedAt"])).total_seconds())

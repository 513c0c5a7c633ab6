"""`python -m cli audit`: show or export who looked at which files, over the API."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from uuid import UUID

from cli.admin.remote import run_over_api
from cli.chat.client import Api
from cli.chat.screen import visible
from cli.commands import whole_number
from cli.table import EMPTY
from cli.times import moment_of, moment_words
from schema.wire import Json

if TYPE_CHECKING:
    from cli.commands import Commands


def add_commands(commands: Commands) -> None:
    about = "show or export who looked at which files, newest first"
    parser = commands.add_parser("audit", help=about, description=about)
    parser.add_argument("--user", type=UUID, metavar="ID", help="only this user's calls")
    parser.add_argument("--session", type=UUID, metavar="ID", help="only calls about this session's files")
    parser.add_argument("--action", help="tree, content, download, zip, diff, search, uploads, ...")
    parser.add_argument("--path", metavar="TEXT", help="only paths that contain this text in any case")
    parser.add_argument("--from", dest="since", metavar="TIME", help="as in RFC 3339: 2026-11-28T00:00:00Z")
    parser.add_argument("--to", dest="until", metavar="TIME", help="up to, and without, this time")
    parser.add_argument("--allowed", choices=["true", "false"], help="only allowed calls, or only refused ones")
    parser.add_argument(
        "--limit", type=whole_number(least=0), default=0, metavar="N", help="stop after N calls; default: all"
    )
    parser.add_argument("--format", choices=["text", "jsonl", "csv"], default="text")
    parser.add_argument("--json", action="store_const", dest="format", const="jsonl", help="the same as --format jsonl")
    parser.set_defaults(run=lambda args: run_over_api(show_audit, args))


def show_audit(api: Api, args: argparse.Namespace) -> int:
    """Write the calls to standard output as they arrive. Say in text when there are none."""
    pieces = api.download(f"/api/admin/audit/export?{urlencode(_query(args))}")
    lines = _lines(pieces)
    most = args.limit + (args.format == "csv") if args.limit else None
    is_text, is_empty = args.format == "text", True
    for line in islice(lines, most):
        sys.stdout.write(_text(json.loads(line)) if is_text else line)
        is_empty = False
    if is_text and is_empty:
        print(EMPTY)
    return 0


def _query(args: argparse.Namespace) -> dict[str, object]:
    named = {
        "actor": args.user,
        "sessionId": args.session,
        "action": args.action,
        "q": args.path,
        "from": args.since,
        "to": args.until,
        "allowed": args.allowed,
        "format": "csv" if args.format == "csv" else "jsonl",
    }
    return {name: value for name, value in named.items() if value is not None}


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    """Yield whole lines with their ends, as few as memory needs."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (f"{line.decode()}\n" for line in whole)
    if rest:
        yield rest.decode()


def _text(row: Json) -> str:
    at, user = moment_words(moment_of(row["at"])), row.get("userName") or "nobody signed in"
    cells = [at, user, row["action"], _outcome(row), _where(row), *_counts(row)]
    return visible("  ".join(cells)).replace("\n", "?") + "\n"


def _outcome(row: Json) -> str:
    """Say whether the call was allowed, and in words what its code of a reason says beyond that."""
    outcome = "allowed" if row["allowed"] else "refused"
    return outcome if row["reason"] == "ok" else f"{outcome}: {row['reason'].replace('_', ' ')}"


def _where(row: Json) -> str:
    if "sessionId" not in row:
        return "no session"
    root = f"{row['root']}:" if "root" in row else ""
    return f"{row['sessionId']} {root}{row.get('path', '')}".rstrip()


def _counts(row: Json) -> list[str]:
    if "bytes" in row:
        return [f"{row['bytes']} bytes"]
    return [f"{row['files']} file{'' if row['files'] == 1 else 's'}"] if "files" in row else []

"""The operator's commands: users, their tokens, and apps. They call the verbs of handlers/access/permissions.py on
the database.

The database is the one of DATABASE_URL, or else the embedded one of this clone, which `make up` must be running.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import psycopg
from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import to_json

from cli.chat.screen import visible
from cli.local.data_dir import DataDir, find_places
from cli.local.postgres import postgres_dsn
from handlers.access import tokens, users
from handlers.apps import apps
from schema.errors import RunyardError
from schema.human_policy import HumanPolicy
from schema.options import RunOptions
from schema.rows import AppRow, Role, TokenRow, UserRow
from schema.sql import Conn
from schema.wire import Json

if TYPE_CHECKING:
    from cli.commands import Commands


@dataclass(frozen=True)
class IssuedToken:
    user: str
    label: str
    token: str


_NOT_IN_TABLES = frozenset({"id", "created_at", "updated_at", "manifest", "limits", "human_loop"})
Row = UserRow | AppRow | TokenRow | IssuedToken
UserVerb = Callable[[Conn, argparse.Namespace], Sequence[Row]]


class NoDatabase(Exception):
    """Neither DATABASE_URL nor a running embedded database."""


def add_commands(commands: Commands) -> None:
    users = commands.add_parser("users", help="list, add, disable and enable users; give and revoke their tokens")
    _add_user_verbs(users.add_subparsers(title="what to do", metavar="VERB", required=True))
    apps = commands.add_parser("apps", help="list, add and change apps")
    _add_app_verbs(apps.add_subparsers(title="what to do", metavar="VERB", required=True))


def _add_user_verbs(verbs: Commands) -> None:
    _add_verb(verbs, "list", "show every user", list_users)
    add = _add_verb(verbs, "add", "add a user", add_user)
    add.add_argument("name")
    add.add_argument("--role", choices=get_args(Role), default="member", help="default: member")
    disable = _add_verb(verbs, "disable", "accept none of a user's tokens from now on", disable_user)
    disable.add_argument("name")
    enable = _add_verb(verbs, "enable", "accept a disabled user's tokens again", enable_user)
    enable.add_argument("name")
    tokens = _add_verb(verbs, "tokens", "show a user's tokens by their labels, and which are revoked", list_tokens)
    tokens.add_argument("name")
    revoke = _add_verb(verbs, "revoke", "accept a user's tokens of one label never again", revoke_tokens)
    revoke.add_argument("name")
    revoke.add_argument("label")
    token = _add_verb(verbs, "token", "make a bearer token for a user; it is shown once", issue_token)
    token.add_argument("name")
    token.add_argument("--label", default="made by the command line", help="what it is for")


def _add_app_verbs(verbs: Commands) -> None:
    _add_verb(verbs, "list", "show every app", list_apps)
    for name, about, verb in (("add", "add an app", add_app), ("set", "change an app", set_app)):
        parser = _add_verb(verbs, name, about, verb)
        parser.add_argument("name")
        parser.add_argument("--provider", required=name == "add", help="claude-code, codex, opencode, demo, ...")
        parser.add_argument("--options", type=_options, help='JSON as in a run\'s options: {"mode": "ask"}')
        parser.add_argument("--manifest", type=_json_file, metavar="FILE", help="JSON: what a workspace is made of")
        parser.add_argument("--limits", type=_json_file, metavar="FILE", help="JSON: limits of the app's workers")
        parser.add_argument("--human-loop", type=_human_loop, help='when nobody answers: {"onExpiry": "deny"}')
    show = _add_verb(verbs, "show", "show an app with all that is set of it", show_app)
    show.add_argument("name")


def _add_verb(verbs: Commands, name: str, about: str, verb: UserVerb) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=about, description=about)
    parser.add_argument("--json", action="store_true", help="JSON with the names of the wire instead of a table")
    parser.set_defaults(run=lambda asked: run_verb(verb, asked))
    return parser


def _options(text: str) -> Json:
    """A run's options, checked as the API checks them."""
    try:
        return RunOptions.model_validate_json(text).model_dump(mode="json", by_alias=True, exclude_unset=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise argparse.ArgumentTypeError(": ".join([*map(str, first["loc"]), first["msg"]])) from error


def _human_loop(text: str) -> Json:
    """What happens when nobody answers, checked as the API checks it."""
    try:
        return HumanPolicy.model_validate_json(text).to_json()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise argparse.ArgumentTypeError(": ".join([*map(str, first["loc"]), first["msg"]])) from error


def _json_file(name: str) -> Json:
    """The object in the file; what it says is checked where it is written."""
    try:
        given = json.loads(Path(name).read_bytes())
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{name}: {error}") from error
    if not isinstance(given, dict):
        raise argparse.ArgumentTypeError(f"{name}: is no JSON object")
    return given


def run_verb(verb: UserVerb, asked: argparse.Namespace) -> int:
    """One transaction on the database; the exit status."""
    try:
        with psycopg.connect(database_url(), connect_timeout=10) as conn:
            rows = verb(conn, asked)
    except RunyardError as error:
        print(error.detail, file=sys.stderr)
        return 1
    except (psycopg.Error, NoDatabase) as error:
        print(f"The database cannot be used: {error}", file=sys.stderr)
        return 1
    if asked.json:
        print(to_json([{to_camel(key): value for key, value in asdict(row).items()} for row in rows]).decode())
    elif verb is show_app:
        _print_whole(rows)
    else:
        _print_table(rows)
    return 0


def database_url(environ: Mapping[str, str] = os.environ) -> str:
    """Raises NoDatabase."""
    return environ.get("DATABASE_URL") or _embedded(find_places(environ))


def _embedded(places: DataDir) -> str:
    if not (places.sockets / ".s.PGSQL.5432").exists():
        raise NoDatabase("the embedded one is not running. Start it with make up, or set DATABASE_URL.")
    return postgres_dsn(places.postgres)


def list_users(conn: Conn, _asked: argparse.Namespace) -> Sequence[Row]:
    return users.list_users(conn)


def add_user(conn: Conn, asked: argparse.Namespace) -> Sequence[Row]:
    return [users.add_user(conn, asked.name, asked.role)]


def disable_user(conn: Conn, asked: argparse.Namespace) -> Sequence[Row]:
    return [users.disable_user(conn, asked.name)]


def enable_user(conn: Conn, asked: argparse.Namespace) -> Sequence[Row]:
    return [users.enable_user(conn, asked.name)]


def list_tokens(conn: Conn, asked: argparse.Namespace) -> Sequence[Row]:
    return tokens.tokens_of(conn, asked.name)


def revoke_tokens(conn: Conn, asked: argparse.Namespace) -> Sequence[Row]:
    return tokens.revoke_tokens(conn, asked.name, asked.label)


def issue_token(conn: Conn, asked: argparse.Namespace) -> Sequence[Row]:
    return [IssuedToken(asked.name, asked.label, tokens.issue_token(conn, asked.name, asked.label))]


def list_apps(conn: Conn, _asked: argparse.Namespace) -> Sequence[Row]:
    return apps.list_apps(conn)


def add_app(conn: Conn, asked: argparse.Namespace) -> Sequence[Row]:
    return [apps.add_app(conn, asked.name, asked.provider, _settings(asked))]


def set_app(conn: Conn, asked: argparse.Namespace) -> Sequence[Row]:
    return [apps.set_app(conn, asked.name, provider=asked.provider, settings=_settings(asked))]


def show_app(conn: Conn, asked: argparse.Namespace) -> Sequence[Row]:
    return [apps.app_named(conn, asked.name)]


def _settings(asked: argparse.Namespace) -> apps.AppSettings:
    return apps.AppSettings(
        options=asked.options, manifest=asked.manifest, limits=asked.limits, human_loop=asked.human_loop
    )


def _print_whole(rows: Sequence[Row]) -> None:
    """Each value on lines of its own."""
    for row in rows:
        for key, value in asdict(row).items():
            shown = json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict) else str(value)
            print(f"{key}: " + "\n".join(map(visible, shown.splitlines())))


def _print_table(rows: Sequence[Row]) -> None:
    """Never wrapped or cut, however narrow the terminal: tokens are copied."""
    columns = [key for key in (asdict(rows[0]) if rows else {}) if key not in _NOT_IN_TABLES]
    lines = [
        [column.upper() for column in columns],
        *([_cell(asdict(row)[column]) for column in columns] for row in rows),
    ]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if value is None:
        return ""
    return visible(json.dumps(value) if isinstance(value, dict) else str(value))

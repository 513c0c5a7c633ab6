"""The operator's commands for users, their tokens and apps. They call the verbs of handlers/ on the database."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import to_json

from cli.admin.database import in_transaction
from cli.chat.screen import visible
from cli.table import table_lines
from cli.times import moment_words
from handlers.access import tokens, users
from handlers.apps import apps
from schema.human_policy import HumanPolicy
from schema.options import AppOptions
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


def add_commands(commands: Commands) -> None:
    about = "list, add, disable and enable users; issue and revoke their tokens"
    users = commands.add_parser("users", help=about, description=about)
    _add_user_verbs(users.add_subparsers(title="verbs", metavar="VERB", required=True))
    apps = commands.add_parser("apps", help="list, add and change apps", description="list, add and change apps")
    _add_app_verbs(apps.add_subparsers(title="verbs", metavar="VERB", required=True))


def _add_user_verbs(verbs: Commands) -> None:
    _add_verb(verbs, "list", "list all users", list_users)
    add = _add_verb(verbs, "add", "add a user", add_user)
    add.add_argument("name")
    add.add_argument("--role", choices=get_args(Role), default="member", help="default: member")
    disable = _add_verb(verbs, "disable", "disable a user and reject all of their tokens", disable_user)
    disable.add_argument("name")
    enable = _add_verb(verbs, "enable", "enable a disabled user and accept their tokens again", enable_user)
    enable.add_argument("name")
    tokens = _add_verb(verbs, "tokens", "list a user's tokens by label, with their revocation", list_tokens)
    tokens.add_argument("name")
    revoke = _add_verb(verbs, "revoke", "revoke a user's tokens with one label for good", revoke_tokens)
    revoke.add_argument("name")
    revoke.add_argument("label")
    token = _add_verb(verbs, "token", "issue a bearer token for a user and print it once", issue_token)
    token.add_argument("name")
    token.add_argument("--label", default="made by the command line", help="the token's purpose")


def _add_app_verbs(verbs: Commands) -> None:
    _add_verb(verbs, "list", "list all apps", list_apps)
    for name, about, verb in (("add", "add an app", add_app), ("set", "change an app", set_app)):
        parser = _add_verb(verbs, name, about, verb)
        parser.add_argument("name")
        parser.add_argument("--provider", required=name == "add", help="claude-code, codex, opencode, demo, ...")
        parser.add_argument(
            "--options",
            type=_options,
            help='default run options as JSON, also mcpServers, instructions and trustWorkspace: {"mode": "ask"}',
        )
        parser.add_argument(
            "--manifest", type=_json_file, metavar="FILE", help="a JSON file with the app's workspace manifest"
        )
        parser.add_argument(
            "--limits", type=_json_file, metavar="FILE", help="a JSON file with limits for the app's workers"
        )
        parser.add_argument(
            "--human-loop", type=_human_loop, help='policy for unanswered requests as JSON: {"onExpiry": "deny"}'
        )
    show = _add_verb(verbs, "show", "show an app with all of its settings", show_app)
    show.add_argument("name")


def _add_verb(verbs: Commands, name: str, about: str, verb: UserVerb) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=about, description=about)
    parser.add_argument("--json", action="store_true", help="print JSON with the API's field names instead of a table")
    parser.set_defaults(run=lambda args: run_verb(verb, args))
    return parser


def _options(text: str) -> Json:
    """Parse default run options and validate them as the API does."""
    try:
        return AppOptions.model_validate_json(text).model_dump(mode="json", by_alias=True, exclude_unset=True)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise argparse.ArgumentTypeError(": ".join([*map(str, fault["loc"]), fault["msg"]])) from error


def _human_loop(text: str) -> Json:
    """Parse the policy for unanswered requests and validate it as the API does."""
    try:
        return HumanPolicy.model_validate_json(text).to_json()
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise argparse.ArgumentTypeError(": ".join([*map(str, fault["loc"]), fault["msg"]])) from error


def _json_file(name: str) -> Json:
    """Read a JSON object from a file. The handler validates its content."""
    try:
        parsed = json.loads(Path(name).read_bytes())
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name}: {error.strerror}") from error
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{name} is not valid JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise argparse.ArgumentTypeError(f"{name} does not contain a JSON object")
    return parsed


def run_verb(verb: UserVerb, args: argparse.Namespace) -> int:
    """Run the verb in one transaction and print its rows. Return the exit status."""
    rows = in_transaction(verb, args)
    if rows is None:
        return 1
    if args.json:
        print(to_json([{to_camel(key): value for key, value in asdict(row).items()} for row in rows]).decode())
    elif verb is show_app:
        _print_rows(rows)
    else:
        _print_table(rows)
    return 0


def list_users(conn: Conn, _args: argparse.Namespace) -> Sequence[Row]:
    return users.list_users(conn)


def add_user(conn: Conn, args: argparse.Namespace) -> Sequence[Row]:
    return [users.add_user(conn, args.name, args.role)]


def disable_user(conn: Conn, args: argparse.Namespace) -> Sequence[Row]:
    return [users.disable_user(conn, args.name)]


def enable_user(conn: Conn, args: argparse.Namespace) -> Sequence[Row]:
    return [users.enable_user(conn, args.name)]


def list_tokens(conn: Conn, args: argparse.Namespace) -> Sequence[Row]:
    return tokens.tokens_of(conn, args.name)


def revoke_tokens(conn: Conn, args: argparse.Namespace) -> Sequence[Row]:
    return tokens.revoke_tokens(conn, args.name, args.label)


def issue_token(conn: Conn, args: argparse.Namespace) -> Sequence[Row]:
    return [IssuedToken(args.name, args.label, tokens.issue_token(conn, args.name, args.label))]


def list_apps(conn: Conn, _args: argparse.Namespace) -> Sequence[Row]:
    return apps.list_apps(conn)


def add_app(conn: Conn, args: argparse.Namespace) -> Sequence[Row]:
    return [apps.add_app(conn, args.name, args.provider, _settings(args))]


def set_app(conn: Conn, args: argparse.Namespace) -> Sequence[Row]:
    return [apps.set_app(conn, args.name, provider=args.provider, settings=_settings(args))]


def show_app(conn: Conn, args: argparse.Namespace) -> Sequence[Row]:
    return [apps.app_named(conn, args.name)]


def _settings(args: argparse.Namespace) -> apps.AppSettings:
    return apps.AppSettings(
        options=args.options, manifest=args.manifest, limits=args.limits, human_loop=args.human_loop
    )


def _print_rows(rows: Sequence[Row]) -> None:
    """Print each value on its own lines."""
    for row in rows:
        for key, value in asdict(row).items():
            shown = json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict) else _words(value)
            print(f"{_label(key)}: " + "\n".join(map(visible, shown.splitlines())))


def _print_table(rows: Sequence[Row]) -> None:
    """Print a table without cutting, so that tokens can be copied from a narrow terminal."""
    columns = [key for key in (asdict(rows[0]) if rows else {}) if key not in _NOT_IN_TABLES]
    cells = [[_cell(asdict(row)[column]) for column in columns] for row in rows]
    print("\n".join(table_lines([_label(column) for column in columns], cells)))


def _label(column: str) -> str:
    """Name a column in words: `last_used_at` is "last used"."""
    return column.removesuffix("_at").replace("_", " ")


def _cell(value: object) -> str:
    if value is None:
        return ""
    return visible(json.dumps(value) if isinstance(value, dict) else _words(value))


def _words(value: object) -> str:
    return moment_words(value) if isinstance(value, datetime) else str(value)

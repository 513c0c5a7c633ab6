"""`python -m cli file-policies`: set, list and delete the policies about who may read which files, over the API."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, get_args
from uuid import UUID

from cli.admin.remote import add_remote_verb
from cli.chat.client import Api
from cli.chat.pages import pages
from cli.chat.screen import visible
from cli.table import print_table
from schema.rows import Role
from schema.wire import Json

if TYPE_CHECKING:
    from cli.commands import Commands

PATH = "/api/admin/file-policies"


def add_commands(commands: Commands) -> None:
    about = "set, list and delete the policies about who may read which files"
    parser = commands.add_parser("file-policies", help=about, description=about)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    lister = add_remote_verb(verbs, "list", "list all policies, newest first", list_policies)
    lister.add_argument("--json", action="store_true", help="print the API's JSON as a list")
    setter = add_remote_verb(verbs, "set", "set a policy; it replaces one for the same readers and pattern", set_policy)
    setter.add_argument("effect", choices=["allow", "deny"])
    setter.add_argument("pattern", help="a path and what is below it; * and ? in a name, ** for any names")
    setter.add_argument("--root", choices=["workspace", "agent"], help="default: both")
    setter.add_argument("--app", type=UUID, metavar="ID", help="default: sessions of all apps")
    setter.add_argument("--role", choices=get_args(Role), help="default: readers of all roles")
    setter.add_argument("--user", type=UUID, metavar="ID", help="default: all readers")
    setter.add_argument("--reason", help="told to whom the policy denies a file")
    setter.add_argument("--json", action="store_true", help="print the API's JSON")
    deleter = add_remote_verb(verbs, "delete", "delete a policy", delete_policy)
    deleter.add_argument("policy", type=UUID)


def list_policies(api: Api, args: argparse.Namespace) -> int:
    """Print the policies, newest first."""
    policies = list(pages(api, PATH))
    if args.json:
        print(json.dumps(policies))
    else:
        print_table(("policy", "effect", "pattern", "readers", "reason"), [_cells(policy) for policy in policies])
    return 0


def set_policy(api: Api, args: argparse.Namespace) -> int:
    """Set the policy and print it."""
    named = {
        "effect": args.effect,
        "pattern": args.pattern,
        "root": args.root,
        "appId": str(args.app) if args.app else None,
        "role": args.role,
        "userId": str(args.user) if args.user else None,
        "reason": args.reason,
    }
    body: Json = {name: value for name, value in named.items() if value is not None}
    _print(api.send("POST", PATH, body=body), as_json=args.json)
    return 0


def delete_policy(api: Api, args: argparse.Namespace) -> int:
    api.send("DELETE", f"{PATH}/{args.policy}", most_tries=1)
    return 0


def _print(policy: Json, *, as_json: bool) -> None:
    print(json.dumps(policy) if as_json else visible("  ".join(filter(None, _cells(policy)))).replace("\n", "?"))


def _cells(policy: Json) -> list[str]:
    readers = [f"{name} {policy[name]}" for name in ("root", "appId", "role", "userId") if name in policy]
    return [
        policy["policyId"],
        policy["effect"],
        policy["pattern"],
        ", ".join(readers) or "all",
        policy.get("reason", ""),
    ]

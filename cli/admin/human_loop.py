"""`python -m cli pending`, `reply` and `rules`: what agents ask, answered from a terminal or a script.

A client of the public API, in the name of whose token it has (RUNYARD_TOKEN, or this clone's own).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, get_args
from urllib.parse import urlencode
from uuid import UUID

from cli.chat.client import Api, ChatError
from cli.chat.command import api_of
from cli.chat.screen import OUTPUT_LINES, diff_lines, shorten, visible
from schema.approval_rules import Effect, ToolKind
from schema.wire import Json

if TYPE_CHECKING:
    from cli.commands import Commands

RULES = "/api/human-loop/rules"
PAGE = 500
ApiVerb = Callable[[Api, argparse.Namespace], list[Json]]
Told = Callable[[Json], Iterator[str]]


def add_commands(commands: Commands) -> None:
    waiting = _add(commands, "pending", "show what agents ask of you", show_pending, told=tell_request)
    waiting.add_argument("--session", type=UUID, help="only of this session")
    answering = _add(commands, "reply", "answer what an agent asks", reply, told=tell_plainly)
    answering.add_argument("request", type=UUID)
    answering.add_argument("decision", choices=["allow", "allow_always", "deny", "answer", "cancel"])
    answering.add_argument("--option", help="one of the agent's own options, by its id")
    answering.add_argument("--reason", help="why; an agent that is denied is told")
    answering.add_argument("--answers", type=_object, metavar="JSON", help="for `answer`: the form's fields")
    about = "rules that answer agents: always allow, ask, or deny"
    verbs = commands.add_parser("rules", help=about, description=about).add_subparsers(metavar="VERB", required=True)
    listing = _add(verbs, "list", "show the rules in force", list_rules, told=tell_rule)
    listing.add_argument("--app", type=UUID, help="only those of this app")
    adding = _add(verbs, "add", "add a rule", add_rule, told=tell_rule)
    adding.add_argument("--app", type=UUID, help="for runs of this app only")
    adding.add_argument("--user", help="for runs of this user only: an id, or me")
    changing = _add(verbs, "set", "replace all that a rule says", change_rule, told=tell_rule)
    changing.add_argument("rule", type=UUID)
    for parser in (adding, changing):
        parser.add_argument("effect", choices=get_args(Effect))
        parser.add_argument("--kind", choices=get_args(ToolKind), help="of the tool call")
        parser.add_argument("--path", metavar="PATTERN", help="of the files it is about: src/**, **/.env, /etc/**")
        parser.add_argument("--command", metavar="PATTERN", help="of the whole command: git status*")
        parser.add_argument("--note", help="why; an agent that is denied is told")
    _add(verbs, "remove", "put a rule out of force", remove_rule, told=tell_plainly).add_argument("rule", type=UUID)


def show_pending(api: Api, asked: argparse.Namespace) -> list[Json]:
    query = f"?sessionId={asked.session}" if asked.session else ""
    return list(api.send("GET", f"/api/human-loop/pending{query}")["items"])


def reply(api: Api, asked: argparse.Namespace) -> list[Json]:
    given = {"optionId": asked.option, "reason": asked.reason, "answers": asked.answers}
    body = {"requestId": str(asked.request), "decision": asked.decision, **_said(given)}
    return [api.send("POST", "/api/human-loop/reply", body=body)]


def list_rules(api: Api, asked: argparse.Namespace) -> list[Json]:
    found: list[Json] = []
    cursor: str | None = None
    while True:
        query = urlencode(_said({"appId": asked.app, "cursor": cursor, "limit": PAGE}))
        page = api.send("GET", f"{RULES}?{query}")
        found += page["items"]
        cursor = page.get("nextCursor")
        if cursor is None:
            return found


def add_rule(api: Api, asked: argparse.Namespace) -> list[Json]:
    whom = {"appId": asked.app and str(asked.app), "userId": asked.user}
    return [api.send("POST", RULES, body={**_said(whom), **_text_of(asked)}, most_tries=1)]


def change_rule(api: Api, asked: argparse.Namespace) -> list[Json]:
    version = api.send("GET", _path(asked.rule))["version"]
    body = {"version": version, **_text_of(asked)}
    return [api.send("PUT", _path(asked.rule), body=body, most_tries=1)]


def remove_rule(api: Api, asked: argparse.Namespace) -> list[Json]:
    api.send("DELETE", _path(asked.rule), most_tries=1)
    return [{"ruleId": str(asked.rule), "removed": True}]


def tell_request(found: Json) -> Iterator[str]:
    yield f"{found['requestId']}  {found['title']}"
    yield f"  session {found['sessionId']} ({found['sessionTitle']}), {found['runStatus']}"
    yield f"  asked at {found['requestedAt']}"
    if "expiresAt" in found:
        yield f"  at {found['expiresAt']}: {found['onExpiry']}"
    call = found.get("toolCall") or {}
    for line in shorten(json.dumps(call["input"], ensure_ascii=False), lines=OUTPUT_LINES) if "input" in call else []:
        yield f"  {line}"
    for diff in found.get("diffs") or []:
        yield f"  {diff.get('path', '')}"
        yield from (f"    {line}" for line in diff_lines(diff.get("oldText") or "", diff.get("newText") or ""))
    for option in found.get("options") or []:
        yield f"  option {option.get('optionId')}: {option.get('name')} ({option.get('kind')})"
    if "schema" in found:
        yield f"  form: {json.dumps(found['schema'].get('properties', {}), ensure_ascii=False)}"


def tell_rule(found: Json) -> Iterator[str]:
    parts = [("kind", "toolKind"), ("path", "pathPattern"), ("command", "commandPattern"), ("why", "note")]
    said = [f"{name}: {found[key]}" for name, key in parts if key in found]
    whom = [f"{name} {found[key]}" for name, key in (("app", "appId"), ("user", "userId")) if key in found]
    yield f"{found['ruleId']}@{found['version']}  {found['effect']}  {', '.join(said) or 'every call'}"
    yield f"  for {' and '.join(whom) or 'everyone'}"


def tell_plainly(found: Json) -> Iterator[str]:
    yield "  ".join(f"{key}: {value}" for key, value in found.items())


def _add(to: Commands, name: str, about: str, verb: ApiVerb, *, told: Told) -> argparse.ArgumentParser:
    parser = to.add_parser(name, help=about, description=about)
    parser.add_argument("--json", action="store_true", help="JSON as the API answers it")
    parser.set_defaults(run=lambda asked: _run(verb, told, asked))
    return parser


def _run(verb: ApiVerb, told: Told, asked: argparse.Namespace) -> int:
    """The exit status: 1 when it was refused, or nobody answers."""
    try:
        found = verb(api_of(os.environ), asked)
    except ChatError as error:
        print(visible(str(error)), file=sys.stderr)
        return 1
    if asked.json:
        print(json.dumps(found))
    else:
        print("\n".join(visible(line) for each in found for line in told(each)) or "Nothing.")
    return 0


def _text_of(asked: argparse.Namespace) -> Json:
    patterns = {"pathPattern": asked.path, "commandPattern": asked.command}
    return {"effect": asked.effect, **_said({"toolKind": asked.kind, **patterns, "note": asked.note})}


def _said(given: Json) -> Json:
    return {key: value for key, value in given.items() if value is not None}


def _path(rule: UUID) -> str:
    return f"{RULES}/{rule}"


def _object(text: str) -> Json:
    try:
        given = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"is no JSON: {error}") from error
    if not isinstance(given, dict):
        raise argparse.ArgumentTypeError("is no JSON object")
    return given

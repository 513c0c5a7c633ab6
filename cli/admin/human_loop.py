"""`python -m cli pending`, `reply` and `rules`: answer agents' requests from a terminal or a script.

The commands call the public API as the owner of RUNYARD_TOKEN, or of this clone's own token when it is unset.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, get_args
from uuid import UUID

from cli.chat.client import Api, ChatError
from cli.chat.command import api_of
from cli.chat.pages import pages
from cli.chat.request_lines import call_lines, deadline_words, diffs_of, path_of
from cli.chat.screen import OUTPUT_LINES, diff_lines, shorten, visible
from cli.table import EMPTY, table_lines, terminal_width
from cli.times import ago_words, moment_of
from schema.approval_rules import Effect, ToolKind
from schema.wire import Json

if TYPE_CHECKING:
    from cli.commands import Commands

RULES = "/api/human-loop/rules"
RULE = "the rule's id, as `rules list` shows it before the @"
ApiVerb = Callable[[Api, argparse.Namespace], list[Json]]
Render = Callable[[list[Json]], Iterator[str]]


def add_commands(commands: Commands) -> None:
    waiting = _add(
        commands,
        "pending",
        "list the requests of agents that wait for your answer",
        show_pending,
        render=render_requests,
    )
    waiting.add_argument("--session", type=UUID, metavar="ID", help="show requests of this session only")
    answering = _add(commands, "reply", "answer an agent's request", reply, render=render_fields)
    answering.add_argument("request", type=UUID, help="the request's id, as `pending` lists it")
    answering.add_argument("decision", choices=["allow", "allow_always", "deny", "answer", "cancel"])
    answering.add_argument("--option", help="choose one of the agent's own options by its id")
    answering.add_argument("--reason", help="the reason; the agent receives it with a denial")
    answering.add_argument("--answers", type=_json_object, metavar="JSON", help="the form's fields, for `answer`")
    about = "manage approval rules: allow, ask or deny tool calls"
    verbs = commands.add_parser("rules", help=about, description=about).add_subparsers(metavar="VERB", required=True)
    listing = _add(verbs, "list", "list the active rules", list_rules, render=render_rules)
    listing.add_argument("--app", type=UUID, metavar="ID", help="list rules of this app only")
    adding = _add(verbs, "add", "add a rule", add_rule, render=render_rules)
    adding.add_argument("--app", type=UUID, metavar="ID", help="apply the rule to runs of this app only")
    adding.add_argument("--user", type=_user, metavar="ID", help="apply the rule to runs of this user only, or me")
    changing = _add(verbs, "set", "replace a rule's effect and conditions", change_rule, render=render_rules)
    changing.add_argument("rule", type=UUID, help=RULE)
    for parser in (adding, changing):
        parser.add_argument("effect", choices=get_args(Effect))
        parser.add_argument("--kind", choices=get_args(ToolKind), help="match this kind of tool call")
        parser.add_argument("--path", metavar="PATTERN", help="match the files of the call: src/**, **/.env, /etc/**")
        parser.add_argument("--command", metavar="PATTERN", help="match the whole command: git status*")
        parser.add_argument("--everything", action="store_true", help="confirm a rule for all runs without a pattern")
        parser.add_argument("--note", help="the reason; the agent receives it with a denial")
    _add(verbs, "remove", "remove a rule", remove_rule, render=render_fields).add_argument("rule", type=UUID, help=RULE)


def show_pending(api: Api, args: argparse.Namespace) -> list[Json]:
    return list(pages(api, "/api/human-loop/pending", {"sessionId": args.session}))


def reply(api: Api, args: argparse.Namespace) -> list[Json]:
    fields = {"optionId": args.option, "reason": args.reason, "answers": args.answers}
    body = {"requestId": str(args.request), "decision": args.decision, **_without_nulls(fields)}
    return [api.send("POST", "/api/human-loop/reply", body=body)]


def list_rules(api: Api, args: argparse.Namespace) -> list[Json]:
    return list(pages(api, RULES, {"appId": args.app}))


def add_rule(api: Api, args: argparse.Namespace) -> list[Json]:
    scope = {"appId": args.app and str(args.app), "userId": args.user}
    return [api.send("POST", RULES, body={**_without_nulls(scope), **_rule_text(args)}, most_tries=1)]


def change_rule(api: Api, args: argparse.Namespace) -> list[Json]:
    version = api.send("GET", _path(args.rule))["version"]
    body = {"version": version, **_rule_text(args)}
    return [api.send("PUT", _path(args.rule), body=body, most_tries=1)]


def remove_rule(api: Api, args: argparse.Namespace) -> list[Json]:
    api.send("DELETE", _path(args.rule), most_tries=1)
    return [{"ruleId": str(args.rule), "removed": True}]


def render_requests(items: list[Json]) -> Iterator[str]:
    for item in items:
        yield from _request_lines(item)
    if not items:
        yield EMPTY


def _request_lines(item: Json) -> Iterator[str]:
    yield f"{item['requestId']}  {item['title']}"
    yield f"  session {item['sessionId']} ({item['sessionTitle']}), {item['runStatus']}"
    deadline = deadline_words(item)
    yield f"  asked {ago_words(moment_of(item['requestedAt']))}" + (f", {deadline}" if deadline else "")
    call = item.get("toolCall") or {}
    diffs = item.get("diffs") or diffs_of(call)
    lines = call_lines(call, has_diff=bool(diffs))
    yield from (f"  {line}" for line in shorten("\n".join(lines), lines=OUTPUT_LINES) if lines != [item["title"]])
    for diff in diffs:
        yield f"  {path_of(diff)}"
        yield from (f"    {line}" for line in diff_lines(diff.get("oldText") or "", diff.get("newText") or ""))
    for option in item.get("options") or []:
        yield f"  option {option.get('optionId')}: {option.get('name')} ({option.get('kind')})"
    if "schema" in item:
        yield f"  form: {json.dumps(item['schema'].get('properties', {}), ensure_ascii=False)}"


def render_rules(items: list[Json]) -> Iterator[str]:
    yield from table_lines(("rule", "effect", "for", "calls"), list(map(_rule_cells, items)), width=terminal_width())


def _rule_cells(item: Json) -> list[str]:
    parts = [("kind", "toolKind"), ("path", "pathPattern"), ("command", "commandPattern"), ("why", "note")]
    conditions = [f"{name}: {item[key]}" for name, key in parts if key in item]
    scope = [f"{name} {item[key]}" for name, key in (("app", "appId"), ("user", "userId")) if key in item]
    rule = f"{item['ruleId']}@{item['version']}"
    return [rule, item["effect"], " and ".join(scope) or "all users", ", ".join(conditions) or "every call"]


def render_fields(items: list[Json]) -> Iterator[str]:
    yield from ("  ".join(f"{key}: {value}" for key, value in item.items()) for item in items)


def _add(to: Commands, name: str, about: str, verb: ApiVerb, *, render: Render) -> argparse.ArgumentParser:
    parser = to.add_parser(name, help=about, description=about)
    parser.add_argument("--json", action="store_true", help="print the API's JSON")
    parser.set_defaults(run=lambda args: _run(verb, render, args))
    return parser


def _run(verb: ApiVerb, render: Render, args: argparse.Namespace) -> int:
    """Call the API and print the result. Return the exit status: 1 when the API refuses or cannot be reached."""
    try:
        items = verb(api_of(os.environ), args)
    except ChatError as error:
        print(visible(str(error)), file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(items))
    else:
        print("\n".join(map(visible, render(items))))
    return 0


def _rule_text(args: argparse.Namespace) -> Json:
    patterns = {"pathPattern": args.path, "commandPattern": args.command}
    optional = {"toolKind": args.kind, **patterns, "note": args.note, "everything": args.everything or None}
    return {"effect": args.effect, **_without_nulls(optional)}


def _without_nulls(fields: Json) -> Json:
    return {key: value for key, value in fields.items() if value is not None}


def _path(rule: UUID) -> str:
    return f"{RULES}/{rule}"


def _user(text: str) -> str:
    """Return the text of `me` or of a user's id."""
    try:
        return text if text == "me" else str(UUID(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is neither a user's id nor me") from None


def _json_object(text: str) -> Json:
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"the value is not valid JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise argparse.ArgumentTypeError("the value is not a JSON object")
    return parsed

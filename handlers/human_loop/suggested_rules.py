"""Suggest rules that would allow a call like the one that an agent asks about, the narrowest first."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import get_args

from pydantic import ValidationError

from handlers.access.permissions import Actor
from handlers.human_loop.pending import ShownRequest
from handlers.human_loop.rule_matching import covers
from handlers.human_loop.tool_call import MatchedCall, read_call
from schema.approval_rules import NewRule, ToolKind

MOST = 6
_KINDS = frozenset(get_args(ToolKind))
_Candidate = dict[str, str | None]


def suggested_rules(actor: Actor, request: ShownRequest) -> list[NewRule]:
    """Return rules for the runs of the session's owner; empty for a question, and when the actor may not write them.

    Each would cover this very call. A rule that denies or asks still goes before it.
    """
    if request.kind != "permission" or (actor.role == "member" and request.owner_id != actor.user_id):
        return []
    call = read_call(request.tool_call or {})
    rules: list[NewRule] = []
    for candidate in _candidates(call):
        with suppress(ValidationError):  # a text that no pattern can hold
            rule = NewRule(effect="allow", user_id=request.owner_id, **candidate)  # type: ignore[arg-type]
            if covers(rule, call) and rule not in rules:
                rules.append(rule)
    return list(islice(rules, MOST))


def _candidates(call: MatchedCall) -> Iterator[_Candidate]:
    kind = call.kind if call.kind in _KINDS else None
    if call.command is not None:
        for pattern in _command_patterns(call.command):
            yield {"tool_kind": kind, "command_pattern": pattern}
    elif call.paths:
        for pattern in _path_patterns(call.paths):
            yield {"tool_kind": kind, "path_pattern": pattern}
    if kind is not None:
        yield {"tool_kind": kind}


def _command_patterns(command: str) -> Iterator[str]:
    """Yield the command itself, then its beginnings: `git commit *`, `git *`."""
    yield command
    words = command.split(" ")
    for count in (2, 1):
        if len(words) > count:
            yield " ".join([*words[:count], "*"])


def _path_patterns(paths: frozenset[str]) -> Iterator[str]:
    """Yield the file itself, then its folder and the folders above."""
    if len(paths) == 1:
        yield from paths
    roots = {path[0] if path.startswith(("/", "~")) else "" for path in paths}
    if len(roots) > 1:
        return
    folder = posixpath.commonpath([posixpath.dirname(path) for path in paths])
    while folder not in ("", "/", "~"):
        yield f"{folder}/**"
        folder = posixpath.dirname(folder)
    if roots == {""}:
        yield "**"

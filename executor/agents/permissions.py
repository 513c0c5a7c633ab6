"""Turn an agent's questions into Runyard's requests, and a person's answer into the agent's options."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from acp.schema import PermissionOption as AcpOption
from acp.schema import ToolCallUpdate

from executor.agents.agent_folders import AgentFolders
from executor.agents.text import cut_json, cut_text
from executor.agents.tool_calls import KnownCall, cut_edits, edits_of, locations_of
from schema.events import LONGEST_OPTION_ID, MOST_OPTIONS, HumanRequested, PermissionOption
from schema.executor_api import Answer
from schema.wire import Json

_log = structlog.get_logger(__name__)

ENDS_THE_TURN = frozenset({"cancel", "abort"})
"""Option ids that end the agent's turn although their kind is a reject (Codex has `cancel` beside `decline`)."""
TITLE_BYTES = 4096
MOST_TOLD_BYTES = 1024
"""Bytes that an event repeats of an option's name, and of its id."""


@dataclass(frozen=True)
class Choice:
    """The answer to the agent: one of its options, or (`option_id` None) a cancelled turn."""

    option_id: str | None
    told: str

    @property
    def denies_and_ends_the_turn(self) -> bool:
        return self.option_id in ENDS_THE_TURN


def permission_request(
    call: ToolCallUpdate, options: list[AcpOption], *, folders: AgentFolders, known: KnownCall
) -> HumanRequested:
    """Build a permission request.

    `known` is the agent's earlier description of this tool call, because the request may repeat only its id. Readers
    resolve the request's paths against `cwd` and `workspace`. `resolved` is where paths of the call lead through links.
    """
    kind, title = call.kind or known.kind, call.title or known.title
    edits = edits_of(call) or known.edits
    raw_input = call.raw_input or known.raw_input
    locations = locations_of(call) or known.locations
    shown = {
        "toolCallId": call.tool_call_id,
        "title": title,
        "kind": kind,
        "input": cut_json(raw_input),
        "diffs": folders.placed(cut_edits(edits)) or None,
        "locations": folders.placed(locations) or None,
        "cwd": str(folders.cwd),
        "relativeCwd": folders.relative_cwd,
        "workspace": str(folders.workspace),
        "resolved": folders.led_elsewhere(_texts([raw_input, edits, locations])) or None,
    }
    return HumanRequested(
        request_id=uuid4(),
        kind="permission",
        title=cut_text(title or "The agent asks for permission", TITLE_BYTES),
        fingerprint=fingerprint(kind, title, raw_input or edits or None, folders.cwd),
        tool_call={key: value for key, value in shown.items() if value is not None},
        options=[
            PermissionOption(option_id=option.option_id, name=option.name, kind=option.kind)
            for option in _offered(options)
        ],
    )


def _offered(options: list[AcpOption]) -> list[AcpOption]:
    """Return at most MOST_OPTIONS of the options, in the agent's order, with those that express a decision.

    An option with a longer id than people can choose is left out. A plain decision may still mean it.
    """
    offered = [option for option in options if len(option.option_id) <= LONGEST_OPTION_ID]
    decisive = {id(_by_decision(decision, offered)) for decision in ("allow", "allow_always", "deny")}
    first = sorted(range(len(offered)), key=lambda at: id(offered[at]) not in decisive)[:MOST_OPTIONS]
    if len(first) < len(options):
        _log.warning("agent.options_left_out", given=len(options), kept=len(first))
    return [offered[at] for at in sorted(first)]


def _texts(value: object) -> Iterator[str]:
    """Yield every text in a JSON value, keys included."""
    rest = [value]
    while rest:
        match rest.pop():
            case str(text):
                yield text
            case list(items):
                rest += items
            case dict(fields):
                rest += [*fields, *fields.values()]


def question_request(message: str, schema: Json, *, cwd: Path) -> HumanRequested:
    """Build a request for a question with a form."""
    return HumanRequested(
        request_id=uuid4(),
        kind="question",
        title=cut_text(message or "The agent has a question"),
        fingerprint=fingerprint("question", message, schema, cwd),
        schema=schema,
    )


def fingerprint(kind: str | None, title: str | None, raw_input: Any, cwd: Path) -> str:
    """Return the SHA-256 (hex) of the canonical JSON of (tool kind, title, raw input, working folder).

    A call without raw input contributes its diffs, so that one edit never passes for another.
    """
    canonical = json.dumps(
        [kind, title, raw_input, str(cwd)], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return hashlib.sha256(canonical.encode("utf-8", "replace")).hexdigest()


def choose(answer: Answer, options: list[AcpOption]) -> Choice:
    """Choose the option that expresses the person's decision.

    A denial prefers an option after which the turn goes on. `cancelled` is used only when the person cancelled, or when
    no option expresses a denial.
    """
    if answer.decision == "cancel":
        return Choice(None, "cancelled")
    named = next((option for option in options if option.option_id == answer.option_id), None)
    fits = named is not None and named.kind.startswith("allow") == answer.decision.startswith("allow")
    chosen = named if fits else _by_decision(answer.decision, options)
    return Choice(chosen.option_id, _told(chosen)) if chosen else Choice(None, "cancelled")


def _told(option: AcpOption) -> str:
    return f"{cut_text(option.name, MOST_TOLD_BYTES)} ({cut_text(option.option_id, MOST_TOLD_BYTES)})"


def _by_decision(decision: str, options: list[AcpOption]) -> AcpOption | None:
    if decision == "allow":
        return _first(options, "allow_once") or _first(options, "allow_always")
    if decision == "allow_always":
        return _first(options, "allow_always") or _first(options, "allow_once")
    return _rejection(options)


def _rejection(options: list[AcpOption]) -> AcpOption | None:
    once = [option for option in options if option.kind == "reject_once"]
    rejects = once or [option for option in options if option.kind == "reject_always"]
    going_on = [option for option in rejects if option.option_id not in ENDS_THE_TURN]
    declines = [option for option in going_on if option.option_id == "decline"]
    return next(iter(declines + going_on + rejects), None)


def _first(options: list[AcpOption], kind: str) -> AcpOption | None:
    return next((option for option in options if option.kind == kind), None)

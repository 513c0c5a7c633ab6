"""What an agent asks, made into our own request, and a person's answer made into what the agent understands."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from acp.schema import PermissionOption as AcpOption
from acp.schema import ToolCallUpdate

from executor.agents.text import cut_json, cut_text
from executor.agents.tool_calls import KnownCall, cut_edits, edits_of, locations_of
from schema.events import HumanRequested, PermissionOption
from schema.executor_api import Answer
from schema.wire import Json

ENDS_THE_TURN = frozenset({"cancel", "abort"})
"""Option ids by which an agent ends its turn although their kind is a reject (Codex: `cancel` beside `decline`)."""


@dataclass(frozen=True)
class Choice:
    """What the agent is told: one of its options, or (`option_id` None) that the turn is cancelled."""

    option_id: str | None
    told: str

    @property
    def denies_and_ends_the_turn(self) -> bool:
        return self.option_id in ENDS_THE_TURN


def permission_request(
    call: ToolCallUpdate, options: list[AcpOption], *, cwd: Path, workspace: Path, known: KnownCall
) -> HumanRequested:
    """`known` is what the agent said of this tool call before; the request itself may repeat only its id. Both folders
    are told with it: against them its paths are read."""
    kind, title = call.kind or known.kind, call.title or known.title
    edits = edits_of(call) or known.edits
    raw_input = call.raw_input or known.raw_input
    shown = {
        "toolCallId": call.tool_call_id,
        "title": title,
        "kind": kind,
        "input": cut_json(raw_input),
        "diffs": cut_edits(edits) or None,
        "locations": locations_of(call) or known.locations or None,
        "cwd": str(cwd),
        "workspace": str(workspace),
    }
    return HumanRequested(
        request_id=uuid4(),
        kind="permission",
        title=cut_text(title or "The agent asks for permission", 4096),
        fingerprint=fingerprint(kind, title, raw_input or edits or None, cwd),
        tool_call={key: value for key, value in shown.items() if value is not None},
        options=[PermissionOption(option_id=one.option_id, name=one.name, kind=one.kind) for one in options],
    )


def question_request(message: str, schema: Json, *, cwd: Path) -> HumanRequested:
    return HumanRequested(
        request_id=uuid4(),
        kind="question",
        title=message or "The agent has a question",
        fingerprint=fingerprint("question", message, schema, cwd),
        schema=schema,
    )


def fingerprint(kind: str | None, title: str | None, raw_input: Any, cwd: Path) -> str:
    """SHA-256 (hex) of the canonical JSON of (tool kind, title, raw input, working folder). A call without a raw input
    has its diffs in that place: one edit must not pass for another."""
    canonical = json.dumps(
        [kind, title, raw_input, str(cwd)], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return hashlib.sha256(canonical.encode("utf-8", "replace")).hexdigest()


def choose(answer: Answer, options: list[AcpOption]) -> Choice:
    """The option that says what the person decided. A denial is an option after which the turn goes on; `cancelled`
    is never said to mean no, only when the person decided to cancel, or when nothing else could express a denial."""
    if answer.decision == "cancel":
        return Choice(None, "cancelled")
    named = next((one for one in options if one.option_id == answer.option_id), None)
    fits = named is not None and named.kind.startswith("allow") == answer.decision.startswith("allow")
    chosen = named if fits else _by_decision(answer.decision, options)
    return Choice(chosen.option_id, f"{chosen.name} ({chosen.option_id})") if chosen else Choice(None, "cancelled")


def _by_decision(decision: str, options: list[AcpOption]) -> AcpOption | None:
    if decision == "allow":
        return _first(options, "allow_once") or _first(options, "allow_always")
    if decision == "allow_always":
        return _first(options, "allow_always") or _first(options, "allow_once")
    return _rejection(options)


def _rejection(options: list[AcpOption]) -> AcpOption | None:
    once = [one for one in options if one.kind == "reject_once"]
    rejects = once or [one for one in options if one.kind == "reject_always"]
    going_on = [one for one in rejects if one.option_id not in ENDS_THE_TURN]
    declines = [one for one in going_on if one.option_id == "decline"]
    return next(iter(declines + going_on + rejects), None)


def _first(options: list[AcpOption], kind: str) -> AcpOption | None:
    return next((one for one in options if one.kind == kind), None)

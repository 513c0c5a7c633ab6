"""Remember what each conversation had used at the end of its last turn.

Agents that count over a whole session report its totals so far, even in a new process that resumed it. A turn's own use
is the difference. The file is part of the agent's home and is saved with it.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any

import structlog

from executor.agents.home_files import replace_home_file
from executor.agents.provider import Dialect
from executor.agents.turn import Turn

TOTALS_FILE = ".runyard-costs.json"
CLAUDE_TAIL_BYTES = 8 * 1024 * 1024
TOTALS_BYTES = 1024 * 1024
MOST_TRANSCRIPTS = 20
MOST_TOKENS = 1 << 53

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The usage of a conversation so far. None is unknown."""

    cost: float | None = None
    tokens: Mapping[str, int] | None = None


NOTHING = Totals(cost=0.0, tokens={})
"""The totals of a conversation that begins."""


def used_before(turn: Turn, conversation_id: str, dialect: Dialect) -> Totals:
    """Return what the conversation had used before this turn. Call it before the agent resumes it."""
    known = totals_before(turn, conversation_id)
    return replace(known, cost=claude_total(turn, conversation_id)) if dialect == "claude-code" else known


def totals_before(turn: Turn, conversation_id: str) -> Totals:
    """Return the conversation's totals before this turn."""
    with turn.account.acting():
        kept = _read(turn.home).get(conversation_id)
    if isinstance(kept, dict):
        return Totals(cost=_number(kept.get("cost")), tokens=_counts(kept.get("tokens")))
    return Totals(cost=_number(kept))


def keep_totals(turn: Turn, conversation_id: str, totals: Totals) -> None:
    """Record the conversation's totals. The file is replaced atomically, so a crash leaves the old one.

    A home that takes no file costs the next turn its numbers, not this one its end.
    """
    kept = {"cost": totals.cost, "tokens": None if totals.tokens is None else dict(totals.tokens)}
    try:
        with turn.account.acting():
            text = json.dumps({**_read(turn.home), conversation_id: kept})
            replace_home_file(turn.home, TOTALS_FILE, text.encode())
    except OSError as error:
        _log.warning("agent.totals_not_kept", why=str(error))


def claude_total(turn: Turn, conversation_id: str) -> float | None:
    """Return the cost in USD that Claude Code wrote into its transcript as it exited, or None.

    It goes on from this cost when it resumes. A process that was ended before it wrote leaves an older one.
    """
    if not conversation_id.replace("-", "").isalnum():
        return None
    with turn.account.acting():
        files = islice((turn.home / ".claude/projects").glob(f"*/{conversation_id}.jsonl"), MOST_TRANSCRIPTS)
        states = [state for file in sorted(files) if (state := _last_cost(tail_of(file, CLAUDE_TAIL_BYTES)))]
    return _number(_json(states[-1]).get("totalCostUSD")) if states else None


def _last_cost(transcript: bytes) -> bytes | None:
    return next((line for line in reversed(transcript.split(b"\n")) if b'"cost-state"' in line), None)


def tail_of(file: Path, most: int) -> bytes:
    """Return the end of a regular file, at most so many bytes; nothing of any other one."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(opened.fileno())
        if not stat.S_ISREG(status.st_mode):
            return b""
        opened.seek(max(0, status.st_size - most))
        return opened.read(most)


def _read(home: Path) -> dict[str, Any]:
    return _json(tail_of(home / TOTALS_FILE, TOTALS_BYTES))


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    with suppress(OverflowError):
        return float(value) if isfinite(value) else None
    return None


def _counts(value: object) -> dict[str, int] | None:
    if not isinstance(value, dict):
        return None
    return {name: count for name, count in value.items() if isinstance(count, int) and 0 <= count < MOST_TOKENS}

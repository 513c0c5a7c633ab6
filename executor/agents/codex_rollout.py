"""Read what Codex's model said when it refused a turn, from the transcript in Codex's home.

For a refused login Codex answers only "Authentication required"; the server's words stand in its transcript alone.
"""

from __future__ import annotations

import asyncio
import json
from itertools import islice
from typing import Any

from executor.agents.failures import LONGEST_MESSAGE
from executor.agents.text import clean_text, cut_text
from executor.agents.totals import tail_of
from executor.agents.turn import Turn

TAIL_BYTES = 256 * 1024
MOST_TRANSCRIPTS = 20
LOOKS = 20
LOOK_SECONDS = 0.1


async def words_of_failed_turn(turn: Turn, conversation_id: str, *, since: float) -> str:
    """Return the error of the turn that ended last, or "" when it began before `since` or has none.

    `since` is in seconds since 1970. Codex may write the turn's end a moment after its answer.
    """
    for _ in range(LOOKS):
        if words := _error_since(turn, conversation_id, int(since)):
            return words
        await asyncio.sleep(LOOK_SECONDS)
    return ""


def _error_since(turn: Turn, conversation_id: str, since: int) -> str:
    if not conversation_id.replace("-", "").isalnum():
        return ""
    with turn.account.acting():
        found = (turn.home / ".codex/sessions").glob(f"*/*/*/rollout-*-{conversation_id}.jsonl")
        lines = [
            line for file in sorted(islice(found, MOST_TRANSCRIPTS)) for line in tail_of(file, TAIL_BYTES).split(b"\n")
        ]
    ends = [end for line in lines if b'"task_complete"' in line and (end := _end_of_turn(line))]
    return _words(ends[-1]) if ends and ends[-1].get("started_at", 0) >= since else ""


def _end_of_turn(line: bytes) -> dict[str, Any] | None:
    try:
        payload = json.loads(line)["payload"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    is_end = isinstance(payload, dict) and payload.get("type") == "task_complete"
    return payload if is_end and isinstance(payload.get("started_at", 0), int) else None


def _words(end: dict[str, Any]) -> str:
    """Return the error's message without the address that Codex adds to it."""
    error = end.get("error")
    message = error.get("message") if isinstance(error, dict) else None
    return cut_text(clean_text(message.split(", url: ")[0]), LONGEST_MESSAGE) if isinstance(message, str) else ""

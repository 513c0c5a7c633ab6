"""Read what Codex's model said when it refused a turn, from the transcript in Codex's home.

For a refused login Codex answers only "Authentication required"; the server's words stand in its transcript alone. Of a
500 it tells a sentence of its own, and only its transcript says that the server failed.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from http import HTTPStatus
from itertools import islice
from typing import Any

from executor.agents.failures import LONGEST_MESSAGE, TurnFailed
from executor.agents.model_failures import ModelFailure
from executor.agents.provider import Dialect
from executor.agents.text import clean_text, cut_text
from executor.agents.totals import tail_of
from executor.agents.turn import Turn

TAIL_BYTES = 256 * 1024
MOST_TRANSCRIPTS = 20
LOOKS = 20
LOOK_SECONDS = 0.1
STATUSES = {status.value: status.phrase for status in HTTPStatus}


async def words_of_failed_turn(turn: Turn, conversation_id: str, *, since: float) -> str:
    """Return the error of the turn that ended last, or "" when it began before `since` or has none.

    `since` is in seconds since 1970.
    """
    return _words(await _error_of_turn(turn, conversation_id, since=since))


async def turn_failed(
    failure: ModelFailure, turn: Turn, conversation_id: str, *, dialect: Dialect, since: float
) -> TurnFailed:
    """Return the turn's failure, with the HTTP status of the model's server where Codex keeps none of its words."""
    status = _status(await _error_of_turn(turn, conversation_id, since=since)) if dialect == "codex" else None
    if status is None:
        return failure.as_turn_failure()
    answered = f"its server answered {status} {STATUSES.get(status, '')}".strip()
    words = f"{answered}, and Codex keeps none of the server's words. It says: {failure.words}"
    return replace(failure, words=words).as_turn_failure()


async def _error_of_turn(turn: Turn, conversation_id: str, *, since: float) -> dict[str, Any]:
    """Return the error of the turn that ended last, empty for none. Codex may write it after its answer."""
    for _ in range(LOOKS):
        if error := _error_since(turn, conversation_id, int(since)):
            return error
        await asyncio.sleep(LOOK_SECONDS)
    return {}


def _error_since(turn: Turn, conversation_id: str, since: int) -> dict[str, Any]:
    if not conversation_id.replace("-", "").isalnum():
        return {}
    with turn.account.acting():
        found = (turn.home / ".codex/sessions").glob(f"*/*/*/rollout-*-{conversation_id}.jsonl")
        lines = [
            line for file in sorted(islice(found, MOST_TRANSCRIPTS)) for line in tail_of(file, TAIL_BYTES).split(b"\n")
        ]
    ends = [end for line in lines if b'"task_complete"' in line and (end := _end_of_turn(line))]
    error = ends[-1].get("error") if ends and ends[-1].get("started_at", 0) >= since else None
    return error if isinstance(error, dict) else {}


def _end_of_turn(line: bytes) -> dict[str, Any] | None:
    try:
        payload = json.loads(line)["payload"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    is_end = isinstance(payload, dict) and payload.get("type") == "task_complete"
    return payload if is_end and isinstance(payload.get("started_at", 0), int) else None


def _words(error: dict[str, Any]) -> str:
    """Return the error's message without the address that Codex adds to it."""
    message = error.get("message")
    return cut_text(clean_text(message.split(", url: ")[0]), LONGEST_MESSAGE) if isinstance(message, str) else ""


def _status(error: dict[str, Any]) -> int | None:
    """Return the HTTP status of an error that holds none of the server's words, else None."""
    kind = error.get("codex_error_info")
    if kind == "internal_server_error":
        return 500
    details = kind.get("response_too_many_failed_attempts") if isinstance(kind, dict) else None
    status = details.get("http_status_code") if isinstance(details, dict) else None
    return status if isinstance(status, int) else None

"""Read what an agent says about failures of its model, in the extension `_meta.jetbrains.air.sessionFailure`.

Without the extension, Codex reports a failed model as the text of an assistant message and a normal end of the turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from executor.agents.failures import TurnFailed
from executor.agents.text import clean_text, cut_text

EXTENSION = "sessionFailure"
CLIENT_META: Mapping[str, Any] = {
    "jetbrains": {"air": {"version": 1, "capabilities": [EXTENSION]}},
    "terminal_output_delta": True,
}
"""Abilities offered at `initialize`. Clients with the extension get a command's output only where they ask for it."""

LONGEST_WORDS = 1000


@dataclass(frozen=True)
class ModelFailure:
    """A failure of the agent's model. A failure that is not final is retried by the agent, and a notice is none."""

    words: str
    is_final: bool
    is_login: bool = False
    is_notice: bool = False

    def as_turn_failure(self) -> TurnFailed:
        """Return the failure of the turn, with the words of the model's server."""
        code = "login_missing" if self.is_login else "agent_error"
        return TurnFailed(code, f"The agent's model failed: {self.words}")


def failure_of(meta: Mapping[str, Any] | None) -> ModelFailure | None:
    """Return the failure in the `_meta` of an update or an answer, or None."""
    found = _dict(_dict(_dict(meta).get("jetbrains")).get("air")).get(EXTENSION)
    failure = _dict(found)
    if not failure:
        return None
    words = [str(failure[key]) for key in ("title", "details") if failure.get(key)]
    return ModelFailure(
        words=plain_words(": ".join(words)) or "no words",
        is_final=failure.get("severity") == "error",
        is_notice=failure.get("severity") != "error" and failure.get("category") == "unknown",
        is_login=failure.get("category") == "access",
    )


def plain_words(text: str) -> str:
    """Return the message in a server's JSON error body, or the text itself, in at most LONGEST_WORDS bytes."""
    match = _MESSAGE.search(text)
    words = json.loads(match[1], strict=False) if match else text
    return cut_text(clean_text(words), LONGEST_WORDS).strip()


_MESSAGE = re.compile(r'\{[^{}]*"message"\s*:\s*("(?:[^"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}){1,2000}")')


def words_of_log(line: str) -> str | None:
    """Return the model's error in a line of OpenCode's log, or None. The protocol tells nothing of its retries."""
    match = _LOGGED.search(line)
    return cut_text(match[1].replace('\\"', '"'), LONGEST_WORDS) if match else None


_LOGGED = re.compile(r'level=ERROR .*\berror\.error="(?:\w+: )?((?:[^"\\]|\\.)+)"')


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

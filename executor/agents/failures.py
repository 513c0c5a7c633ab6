"""Define how a turn can fail, each way with a stable code and a sentence for people."""

from __future__ import annotations

import re
from typing import Any, Literal

from acp import RequestError

from executor.agents.text import Redaction, cut_text
from schema.events import Reason, RunFinished

LONGEST_MESSAGE = 4096
"""Bytes of a message. A longer one keeps its head and tail."""
AUTH_REQUIRED = -32000
"""ACP's error code for "Authentication required"."""


BLOCKS = frozenset({"workspace_untrusted"})
"""Codes of runs that are blocked: they fail again until somebody has done what the reason says."""


class TurnFailed(Exception):
    """The turn cannot go on. Only take_turn catches it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = cut_text(message, LONGEST_MESSAGE)

    def finished(self) -> RunFinished:
        status: Literal["blocked", "failed"] = "blocked" if self.code in BLOCKS else "failed"
        return RunFinished(status=status, reason=Reason(code=self.code, message=self.message))


def error_text(error: RequestError) -> str:
    """Return the agent's own error text: its message, and the details that many agents put into `data`."""
    message = cut_text(str(error), LONGEST_MESSAGE) or "no message"
    details = _details(error.data)
    return f"{message}: {details}" if details and details not in message else message


def answered_with_error(error: RequestError, redaction: Redaction, *, said: str) -> TurnFailed:
    """Return the turn's failure for an error answer.

    `said` is the agent's last message: a bare "Authentication required" has the server's words there.
    """
    text = error_text(error)
    if error.code == AUTH_REQUIRED and said and said not in text:
        text = f"{text}: {said}"
    code = "login_missing" if looks_like_login(error) else "agent_error"
    return TurnFailed(code, f"The agent answered with an error: {redaction.hide(text)}")


def _details(data: Any) -> str:
    if isinstance(data, str):
        return data[:1000]
    if isinstance(data, dict):
        for key in ("details", "message", "error", "reason"):
            if data.get(key):
                return _details(data[key])
    return ""


def looks_like_login(error: RequestError) -> bool:
    """Tell whether an agent's error says that it is not signed in to its model's provider."""
    return error.code == AUTH_REQUIRED or bool(_LOGIN.search(error_text(error)))


_LOGIN = re.compile(
    r"authentication.(required|error)|invalid.api.key|incorrect api key|\b401\b|unauthorized|/login", re.IGNORECASE
)

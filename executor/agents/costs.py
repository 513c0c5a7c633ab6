"""Remember the cost of each conversation at the end of its last turn.

Agents report the whole session's cost so far (ACP's `usage_update`), even in a new process that resumed it. A turn's
own cost is the difference. The file is part of the agent's home and is saved with it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from executor.agents.turn import Turn

COSTS_FILE = ".runyard-costs.json"


def cost_before(turn: Turn, agent_session_id: str) -> float | None:
    """Return the conversation's cost before this turn, or None when it is unknown."""
    with turn.account.acting():
        amount = _read(turn.home).get(agent_session_id)
    return float(amount) if isinstance(amount, int | float) else None


def keep_cost(turn: Turn, agent_session_id: str, amount: float) -> None:
    """Record the conversation's cost. The file is replaced atomically, so a crash leaves the old one."""
    new = turn.home / f"{COSTS_FILE}.new"
    with turn.account.acting():
        new.write_text(json.dumps({**_read(turn.home), agent_session_id: amount}), encoding="utf-8")
        os.replace(new, turn.home / COSTS_FILE)


def _read(home: Path) -> dict[str, object]:
    try:
        costs = json.loads((home / COSTS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return costs if isinstance(costs, dict) else {}

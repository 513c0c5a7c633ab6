"""Sum what OpenCode spent in a turn, from its database.

Over the protocol it reports the tokens of a prompt's last model request only. The database belongs to the agent and may
be hostile, so a process of the agent's account reads it (`opencode_database.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from pathlib import Path

from executor.agents.turn import Turn

READER = Path(__file__).with_name("opencode_database.py")
DATABASE = ".local/share/opencode/opencode.db"
SECONDS = 5.0


async def tokens_since(turn: Turn, session_id: str, since_ms: int) -> dict[str, int] | None:
    """Return the tokens of all model requests of a session and its children since a time, or None when unknown.

    Keys are the buckets of executor/agents/usage.py. `since_ms` is in milliseconds since 1970.
    """
    command = [sys.executable, "-I", str(READER), str(turn.home / DATABASE), session_id, str(since_ms)]
    try:
        reader = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env={}, cwd="/", **turn.account.of_children()
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(SECONDS):
            written, _ = await reader.communicate()
    except TimeoutError:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            reader.kill()
    return _counts(written)


def _counts(written: bytes) -> dict[str, int] | None:
    try:
        counts = json.loads(written[:10_000])
    except (ValueError, RecursionError):
        return None
    if not isinstance(counts, dict) or not all(isinstance(count, int) for count in counts.values()):
        return None
    return counts

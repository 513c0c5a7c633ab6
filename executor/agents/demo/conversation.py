"""What the demo agent remembers of a session, and where it keeps it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path

MODELS = ("demo-small", "demo-large")


@dataclass
class Conversation:
    """One session: where it works, what was said before, and what the client chose. `asking`: the part of a prompt that
    begins with what the person is asked just now; when the agent ends meanwhile, it goes on from there."""

    id: str
    cwd: Path
    prompts: list[str] = field(default_factory=list)
    mode: str = "ask"
    model: str = MODELS[0]
    always: bool = False
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    words_out: int = 0
    asking: str | None = None


def kept_file(session_id: str) -> Path:
    return Path.home() / ".runyard-demo" / f"{session_id}.json"


def keep(one: Conversation, *said_now: str) -> None:
    """Before a prompt is acted on, so that a killed agent remembers it too."""
    path = kept_file(one.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {"prompts": [*one.prompts, *said_now], "asking": one.asking}
    path.write_text(json.dumps(kept), encoding="utf-8")


def take_up(session_id: str, cwd: Path) -> Conversation:
    kept = json.loads(kept_file(session_id).read_text(encoding="utf-8"))
    return Conversation(id=session_id, cwd=cwd, **(kept if isinstance(kept, dict) else {"prompts": kept}))

"""Remember a session of the demo agent in a file of its home."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path

MODELS = ("demo-small", "demo-large")


@dataclass
class Conversation:
    """One session: its folder, earlier prompts and the client's choices.

    `heard` has all earlier prompts in order: texts of people, and `{"internal": text}` of the client's own.
    `asking` is the rest of a prompt from its open question on. An agent that ends meanwhile continues from there.
    """

    id: str
    cwd: Path
    heard: list[str | dict[str, str]] = field(default_factory=list)
    mode: str = "ask"
    model: str = MODELS[0]
    always: bool = False
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    words_out: int = 0
    asking: str | None = None

    @property
    def prompts(self) -> list[str]:
        """Return the earlier prompts of people."""
        return [prompt for prompt in self.heard if isinstance(prompt, str)]


def conversation_file(session_id: str) -> Path:
    return Path.home() / ".runyard-demo" / f"{session_id}.json"


def save(conversation: Conversation, *new_prompts: str | dict[str, str]) -> None:
    """Save the conversation before its prompt is acted on, so that a killed agent remembers it too."""
    _replace(conversation_file(conversation.id), json.dumps([*conversation.heard, *new_prompts]))


def _replace(path: Path, text: str) -> None:
    """Write the file anew, so that a killed agent leaves the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def save_asking(conversation: Conversation) -> None:
    asking = conversation_file(conversation.id).with_suffix(".asking")
    if conversation.asking is None:
        asking.unlink(missing_ok=True)
    else:
        _replace(asking, conversation.asking)


def load(session_id: str, cwd: Path) -> Conversation:
    file = conversation_file(session_id)
    asking = file.with_suffix(".asking")
    return Conversation(
        id=session_id,
        cwd=cwd,
        heard=json.loads(file.read_text(encoding="utf-8")),
        asking=asking.read_text(encoding="utf-8") if asking.exists() else None,
    )

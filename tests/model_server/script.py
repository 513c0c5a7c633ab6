"""What the model does next: one step of the script for each request of an agent's main conversation."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
LAST = {"text": "The script has no further step."}


@dataclass
class Recorded:
    """One request: `side` ones (titles, summaries) took no step. `prompt` is the person's text that it ends with;
    None when it ends with the result of a tool. `failed` ones got an HTTP error, so the agent may send them again."""

    api: str
    side: bool
    prompt: str | None
    body: Json
    failed: bool = False


@dataclass
class Script:
    """Steps are taken in order, by whoever asks first. See __main__.py for their form."""

    steps: list[Json] = field(default_factory=list)
    requests: list[Recorded] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, request: Recorded) -> Json | None:
        """The step that answers it; None for a side request."""
        with self.lock:
            self.requests.append(request)
            if request.side:
                return None
            step = self.steps[0] if self.steps else LAST
            if self.steps and not step.get("repeat"):
                self.steps.pop(0)
            request.failed = "status" in step
            return step

    def add(self, steps: list[Json]) -> None:
        with self.lock:
            self.steps += steps

    def reset(self) -> None:
        with self.lock:
            self.steps.clear()
            self.requests.clear()

    def state(self) -> Json:
        with self.lock:
            mains = [one for one in self.requests if not one.side]
            return {
                "stepsLeft": len(self.steps),
                "prompts": [one.prompt for one in mains if one.prompt is not None and not one.failed],
                "requests": [vars(one) for one in self.requests],
            }

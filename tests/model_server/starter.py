"""The model server as a process of its own, for tests."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class ModelServer:
    """A running one. `url` has no path: agents are given `url` or `url/v1`."""

    url: str

    def add(self, *steps: Json) -> None:
        """Further steps for the script."""
        body = json.dumps({"steps": steps}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/_script", data=body)):
            pass

    def reset(self) -> None:
        """Forget steps and requests."""
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/_reset", data=b"{}")):
            pass

    def state(self) -> Json:
        with urllib.request.urlopen(f"{self.url}/_state") as answer:
            state: Json = json.load(answer)
            return state

    def prompts(self) -> list[str]:
        """What people said, one entry for each time that it was delivered to the model."""
        return list(self.state()["prompts"])

    def requests(self) -> list[Json]:
        """Requests of the main conversations, oldest first."""
        return [one for one in self.state()["requests"] if not one["side"]]


@contextmanager
def model_server(*steps: Json) -> Iterator[ModelServer]:
    """Start one with these steps; it is ended with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.model_server", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        server = ModelServer(f"http://127.0.0.1:{int(process.stdout.readline())}")
        server.add(*steps)
        yield server
    finally:
        process.kill()
        process.wait()
